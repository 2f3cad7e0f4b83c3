/** `flotilla root ocsp …`: the certificate that answers OCSP requests about issuers, for a root that is elsewhere. @module */
import { Command } from 'commander';
import { writeFileAtomic } from '../../core/atomic-file.ts';
import {
  loadStateAndConfig,
  stateCommand,
  type CommandAction,
  type StateOptions,
} from '../lib/command-context.ts';
import { readPemFile } from '../lib/pem-input.ts';
import type { Runner } from '../lib/runner.ts';

interface RequestOptions extends StateOptions {
  readonly out: string;
}

export function rootOcspCommand(runner: Runner): Command {
  return new Command('ocsp')
    .description('answer OCSP requests about issuers while the key of the root is elsewhere')
    .addCommand(
      stateCommand('request', 'make a key, and a request for flotilla root sign --purpose ocsp')
        .requiredOption('--out <file>', 'file for the request (PEM)')
        .action(runner.run(request)),
    )
    .addCommand(
      stateCommand('import', 'take the certificate that flotilla root sign has made')
        .argument('<certificate>', 'PEM file')
        .action(runner.runWith(importCertificate)),
    );
}

const request: CommandAction<RequestOptions> = async (options, context) => {
  const { out } = options;
  const { requestResponder } = await import('../../enroll/ca/root-responder.ts');
  const { readPassphrase } = await import('../../enroll/ca/passphrase.ts');
  const { state } = await loadStateAndConfig(options, context);
  const passphrase = await readPassphrase(state, context.environment.env);
  await writeFileAtomic(out, await requestResponder(state, passphrase), 0o644);
  context.out.result(
    { request: out },
    `wrote ${out}; its key stays here\nOn the machine of the root run flotilla root sign --purpose ocsp, then here flotilla root ocsp import`,
  );
  return 0;
};

const importCertificate = async (
  file: string,
  ...[options, context]: Parameters<CommandAction<StateOptions>>
): Promise<number> => {
  const certificate = await readPemFile(file);
  const { importResponder } = await import('../../enroll/ca/root-responder.ts');
  const { readPassphrase } = await import('../../enroll/ca/passphrase.ts');
  const { state } = await loadStateAndConfig(options, context);
  const passphrase = await readPassphrase(state, context.environment.env);
  const { fingerprint, notAfterMs } = await importResponder(state, passphrase, certificate);
  const notAfter = new Date(notAfterMs).toISOString();
  context.out.result(
    { fingerprint, notAfter },
    `OCSP requests about issuers are answered, until ${context.out.time(notAfter)}\nA running service uses it within a minute`,
  );
  return 0;
};
