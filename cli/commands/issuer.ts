/** `flotilla issuer list|add|retire`: replacing the CA that signs, with nobody disconnected. @module */
import { Command } from 'commander';
import { issuerSchema, issuersSchema } from '../../core/protocol/enrollment-api.ts';
import { adminClient, type AdminOptions } from '../lib/admin-client.ts';
import { stateCommand, urlOption, type CommandAction } from '../lib/command-context.ts';
import { table } from '../lib/output.ts';
import type { Runner } from '../lib/runner.ts';

export function issuerCommand(runner: Runner): Command {
  return new Command('issuer')
    .description('the CAs that sign')
    .addCommand(
      stateCommand('list', 'the trusted ones, the current one first')
        .option(...urlOption)
        .action(runner.run(list)),
    )
    .addCommand(
      stateCommand('add', 'make a new one; it signs as soon as every broker trusts it')
        .option(...urlOption)
        .action(runner.run(add)),
    )
    .addCommand(
      stateCommand('retire', 'take a former one out of trust, when nobody needs it any more')
        .argument('<fingerprint>', 'as listed')
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
      ['SIGNS', 'NAME', 'ENDS', 'FINGERPRINT'],
      ...page.issuers.map((issuer) => [
        issuer.current ? 'yes' : 'no',
        issuer.name,
        issuer.notAfter,
        issuer.fingerprint,
      ]),
    ]),
  );
  return 0;
};

const add: CommandAction<AdminOptions> = async (options, context) => {
  const client = await adminClient(options, context);
  const issuer = await client.json('POST', '/v1/issuers', issuerSchema, {});
  context.out.result(issuer, `${issuer.name} is trusted and signs\n${issuer.fingerprint}`);
  return 0;
};

const retire = async (
  fingerprint: string,
  ...[options, context]: Parameters<CommandAction<AdminOptions>>
): Promise<number> => {
  const client = await adminClient(options, context);
  await client.raw('DELETE', `/v1/issuers/${encodeURIComponent(fingerprint)}`);
  context.out.result({ fingerprint, retired: true }, `retired ${fingerprint}`);
  return 0;
};
