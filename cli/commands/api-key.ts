/** `flotilla key list|create|remove`: API keys of programs. @module */
import { Command, Option } from 'commander';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { operatorRoles, type OperatorRole } from '../../core/protocol/operator-role.ts';
import { adminClient, type AdminOptions } from '../lib/admin-client.ts';
import { durationMs, stateCommand, urlOption, type CommandAction } from '../lib/command-context.ts';
import { confirmed, destructive, type ConfirmationOptions } from '../lib/confirmation.ts';
import { table } from '../lib/output.ts';
import type { Runner } from '../lib/runner.ts';

interface CreateOptions extends AdminOptions {
  readonly name: string;
  readonly operator?: string;
  readonly role?: OperatorRole;
  readonly scopes: readonly string[];
  readonly ttl?: number;
}

export function keyCommand(runner: Runner): Command {
  return new Command('key')
    .description('manage API keys of operators')
    .addCommand(
      stateCommand('list', 'list the API keys; the secrets are not stored')
        .option(...urlOption)
        .action(runner.run(list)),
    )
    .addCommand(
      stateCommand('create', 'create an API key; it is shown only once')
        .requiredOption('--name <name>', 'name of the key in lists and in the audit log')
        .option('--operator <name>', 'operator of the key, as operator list shows it')
        .addOption(
          new Option(
            '--role <role>',
            'what the key may do (default: all that its operator may)',
          ).choices(operatorRoles),
        )
        .option('--scopes <tags...>', 'groups of operations of the API', [] as string[])
        .option('--ttl <duration>', 'validity of the key (default: 90d)', durationMs)
        .option(...urlOption)
        .action(runner.run(create)),
    )
    .addCommand(
      destructive(stateCommand('remove', 'delete an API key'))
        .argument('<id>', 'id of the key, as key list shows it')
        .option(...urlOption)
        .action(runner.runWith(remove)),
    );
}

const list: CommandAction<AdminOptions> = async (options, context) => {
  const { out } = context;
  const client = await adminClient(options, context);
  const page = await client.api.listKeys();
  const rows = page.keys.map(({ id, name, operator, role, scopes, expiresAt }) => [
    ...[id, name, operator, role, scopes === null ? 'all' : scopes.join(' '), out.time(expiresAt)],
  ]);
  out.result(
    page,
    rows.length === 0
      ? 'no keys'
      : table([['ID', 'NAME', 'OPERATOR', 'ROLE', 'SCOPES', 'EXPIRES'], ...rows]),
  );
  return 0;
};

const create: CommandAction<CreateOptions> = async (options, context) => {
  const { name, operator, role, scopes, ttl } = options;
  const client = await adminClient(options, context);
  const made = await client.api.createKey({
    body: {
      name,
      ...(operator === undefined ? {} : { operator }),
      ...(role === undefined ? {} : { role }),
      ...(scopes.length === 0 ? {} : { scopes }),
      ...(ttl === undefined ? {} : { ttlSeconds: Math.ceil(ttl / 1000) }),
    },
  });
  context.out.result(
    made,
    `key      ${made.key}\nid       ${made.id}\nrole     ${made.role}\nexpires  ${context.out.moment(made.expiresAt)}`,
  );
  return 0;
};

const remove = async (
  id: string,
  ...[options, context]: Parameters<CommandAction<AdminOptions & ConfirmationOptions>>
): Promise<number> => {
  if (!/^[0-9a-f]{16}$/.test(id)) {
    throw new FlotillaError('usage', {
      detail: `${id} is not the id of a key: 16 hexadecimal digits, as flotilla key list shows them`,
    });
  }
  const client = await adminClient(options, context);
  const change = {
    action: 'remove',
    summary: `delete the API key ${id}`,
    count: 1,
    targets: [id],
    effects: ['Programs that use it are refused from now on.'],
  };
  const go = await confirmed(change, options, context);
  if (go !== true) return go;
  await client.api.deleteKey({ id });
  context.out.result({ id, removed: true }, `deleted ${id}`);
  return 0;
};
