/** `flotilla root …`: the root CA and its replacement. Works also while the service is stopped. @module */
import { Command, Option } from 'commander';
import { amountText } from '../../core/amount-text.ts';
import { writeFileAtomic } from '../../core/atomic-file.ts';
import { systemClock } from '../../core/clock.ts';
import { subjectText } from '../../core/subject-text.ts';
import type { AdminOptions } from '../lib/admin-client.ts';
import { retireAuthority, shownAuthority } from '../lib/authority-retirement.ts';
import { changeCa, localActor, type CaFiles } from '../lib/ca-access.ts';
import {
  loadStateAndConfig,
  stateCommand,
  urlOption,
  type CommandAction,
  type StateOptions,
} from '../lib/command-context.ts';
import { destructive, type ConfirmationOptions } from '../lib/confirmation.ts';
import { readKeyFile, readPemFile } from '../lib/pem-input.ts';
import type { Runner } from '../lib/runner.ts';
import { rootOcspCommand } from './root-ocsp.ts';

interface ImportOptions extends AdminOptions {
  readonly key?: string;
  readonly keyPassphraseFile?: string;
  readonly cross?: string;
}

interface RolloverOptions extends AdminOptions {
  readonly token?: string;
}

interface SignOptions extends StateOptions {
  readonly out: string;
  readonly purpose: 'devices' | 'services' | 'ocsp';
}

export function rootCommand(runner: Runner): Command {
  return new Command('root')
    .description('replace the root CA, and use its key')
    .addCommand(
      stateCommand('rollover', 'make the next root the current one; create it if there is none')
        .option('--token <file>', 'file with the PKCS#11 URI of its key on a token')
        .option(...urlOption)
        .action(runner.run(rollOver)),
    )
    .addCommand(
      stateCommand('import', 'trust an own root: as the next one, or as the first one of a new CA')
        .argument('<certificate>', 'PEM file of the root')
        .option('--key <file>', 'its private key (default: stored elsewhere)')
        .option('--key-passphrase-file <file>', 'file with the passphrase of the private key')
        .option(
          '--cross <file>',
          'PEM file: the new root signed by the current one, or the reverse',
        )
        .option(...urlOption)
        .action(runner.runWith(importRoot)),
    )
    .addCommand(
      stateCommand('sign', 'sign the request of an issuer of another state folder')
        .argument(
          '<request>',
          'PEM file, from flotilla issuer request or flotilla root ocsp request',
        )
        .requiredOption('--out <file>', 'file for the chain (PEM)')
        .addOption(
          new Option('--purpose <purpose>', 'what the issuer signs; ocsp: answers about issuers')
            .choices(['devices', 'services', 'ocsp'])
            .default('devices'),
        )
        .action(runner.runWith(sign)),
    )
    .addCommand(
      stateCommand(
        'crl',
        'sign the list of the root again, with every withdrawn issuer, and the certificate for OCSP',
      )
        .option(...urlOption)
        .action(runner.run(crl)),
    )
    .addCommand(rootOcspCommand(runner))
    .addCommand(
      destructive(
        stateCommand('retire', 'remove the former root and its issuers, when nothing needs them'),
      )
        .argument('<fingerprint>', 'fingerprint, as ca status shows it')
        .option(...urlOption)
        .action(runner.runWith(retire)),
    );
}

const rollOver: CommandAction<RolloverOptions> = async (options, context) => {
  const { token } = options;
  const uri = token === undefined ? undefined : (await readPemFile(token)).trim();
  // The URI may contain the PIN, so it does not travel: the service finds it in its folder.
  const storeToken = async (prepare: () => Promise<CaFiles>): Promise<void> => {
    if (uri === undefined) return;
    const { storeNextRootToken } = await import('../../enroll/ca/root-change.ts');
    await storeNextRootToken((await prepare()).state, uri);
  };
  const root = await changeCa(
    options,
    context,
    async (client, prepare) => {
      await storeToken(prepare);
      return client.api.rollOverRoot({ body: {} });
    },
    async ({ prepare, open }) => {
      await storeToken(prepare);
      return shownAuthority(await (await open()).changes.roots.rollOver(localActor));
    },
  );
  context.out.result(
    root,
    `${root.name} is now the root; new devices pin ${root.fingerprint}\nDevices that have the former root get this one when they renew`,
  );
  return 0;
};

const importRoot = async (
  file: string,
  ...[options, context]: Parameters<CommandAction<ImportOptions>>
): Promise<number> => {
  const certificate = await readPemFile(file);
  const cross = options.cross === undefined ? '' : await readPemFile(options.cross);
  const key =
    options.key === undefined
      ? undefined
      : await readKeyFile(options.key, options.keyPassphraseFile);
  const root = await changeCa(
    options,
    context,
    async (client) => {
      if (key !== undefined) {
        const { FlotillaError } = await import('../../core/errors/flotilla-error.ts');
        throw new FlotillaError('usage', {
          detail: '--key needs a stopped service: a key never travels',
        });
      }
      return client.api.importRoot({ body: { certificate, cross } });
    },
    async ({ prepare, open }) => {
      const { hasCa } = await import('../../enroll/ca/ca-folder.ts');
      const { createSuppliedCa } = await import('../../enroll/ca/root-change.ts');
      const { state, passphrase } = await prepare();
      const supplied = { certificate, key, cross };
      const made = (await hasCa(state))
        ? await (await open()).changes.roots.importNext(supplied, localActor)
        : await createSuppliedCa(state, passphrase, supplied);
      return shownAuthority(made);
    },
  );
  context.out.result(root, `${root.name} is trusted\n${root.fingerprint}`);
  return 0;
};

const sign = async (
  file: string,
  ...[options, context]: Parameters<CommandAction<SignOptions>>
): Promise<number> => {
  const request = await readPemFile(file);
  const { signIssuerRequest } = await import('../../enroll/ca/issuer-signing.ts');
  const { signResponderRequest } = await import('../../enroll/ca/root-responder.ts');
  const { authorityUrls } = await import('../../enroll/ca/authority-urls.ts');
  const { readPassphrase } = await import('../../enroll/ca/passphrase.ts');
  const { state, config } = await loadStateAndConfig(options, context);
  const passphrase = await readPassphrase(state, context.environment.env);
  const caDeps = { clock: systemClock, urls: authorityUrls(config) };
  const { purpose } = options;
  const issuer =
    purpose === 'ocsp'
      ? await signResponderRequest(state, passphrase, caDeps, request)
      : await signIssuerRequest(state, passphrase, caDeps, request, purpose);
  await writeFileAtomic(options.out, issuer.pem, 0o644);
  context.out.result(
    { fingerprint: issuer.fingerprint, chain: options.out },
    `signed ${subjectText(issuer.x509)} for ${options.purpose}: ${options.out}`,
  );
  return 0;
};

const crl: CommandAction<AdminOptions> = async (options, context) => {
  const done = await changeCa(
    options,
    context,
    (client) => client.api.signRootLists({ body: {} }),
    async ({ open }) => ({
      signed: await (await open()).changes.withdrawal.signLists(localActor),
    }),
  );
  context.out.result(done, `signed the list of ${amountText(done.signed, 'root')}`);
  return 0;
};

const retire = async (
  fingerprint: string,
  ...[options, context]: Parameters<CommandAction<AdminOptions & ConfirmationOptions>>
): Promise<number> => {
  return retireAuthority(
    {
      fingerprint,
      kind: 'former root',
      effect:
        'Devices that never renewed since the change of roots do not accept servers any more.',
      online: (client) => client.api.retireRoot({ fingerprint }),
      stopped: ({ changes }) => changes.roots.retire(fingerprint, localActor),
    },
    options,
    context,
  );
};
