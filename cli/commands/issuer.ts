/** `flotilla issuer list|add|retire`: replaces the issuing CA without disconnecting devices. @module */
import { Command } from 'commander';
import { issuerSchema, issuersSchema } from '../../core/protocol/enrollment-api.ts';
import { adminClient, type AdminOptions } from '../lib/admin-client.ts';
import { stateCommand, urlOption, type CommandAction } from '../lib/command-context.ts';
import { confirmed, destructive, type ConfirmationOptions } from '../lib/confirmation.ts';
import { table } from '../lib/output.ts';
import type { Runner } from '../lib/runner.ts';

export function issuerCommand(runner: Runner): Command {
  return new Command('issuer')
    .description('manage the CAs that issue certificates')
    .addCommand(
      stateCommand('list', 'list the trusted issuers, the current one first')
        .option(...urlOption)
        .action(runner.run(list)),
    )
    .addCommand(
      stateCommand(
        'add',
        'create a new issuer, which issues certificates as soon as every broker trusts it',
      )
        .option(...urlOption)
        .action(runner.run(add)),
    )
    .addCommand(
      destructive(stateCommand('retire', 'remove a former issuer that no active certificate needs'))
        .argument('<fingerprint>', 'fingerprint, as issuer list shows it')
        .option(...urlOption)
        .action(runner.runWith(retire)),
    );
}

const list: CommandAction<AdminOptions> = async (options, context) => {
  const client = await adminClient(options, context);
  const page = await client.json('GET', '/v1/issuers', issuersSchema);
  context.out.result(
    page,
    table([
      ['CURRENT', 'NAME', 'EXPIRES', 'FINGERPRINT'],
      ...page.issuers.map((issuer) => [
        issuer.current ? context.out.style.color('green', 'yes') : 'no',
        issuer.name,
        context.out.time(issuer.notAfter),
        issuer.fingerprint,
      ]),
    ]),
  );
  return 0;
};

const add: CommandAction<AdminOptions> = async (options, context) => {
  const client = await adminClient(options, context);
  const issuer = await client.json('POST', '/v1/issuers', issuerSchema, {});
  context.out.result(
    issuer,
    `${issuer.name} is trusted by every broker and is now the current issuer\n${issuer.fingerprint}`,
  );
  return 0;
};

const retire = async (
  fingerprint: string,
  ...[options, context]: Parameters<CommandAction<AdminOptions & ConfirmationOptions>>
): Promise<number> => {
  const client = await adminClient(options, context);
  const change = {
    action: 'retire',
    summary: `remove the issuer ${fingerprint}`,
    count: 1,
    targets: [fingerprint],
    effects: ['Certificates of this issuer are no longer accepted; this cannot be undone.'],
  };
  const go = await confirmed(change, options, context);
  if (go !== true) return go;
  await client.raw('DELETE', `/v1/issuers/${encodeURIComponent(fingerprint)}`);
  context.out.result({ fingerprint, retired: true }, `retired ${fingerprint}`);
  return 0;
};
