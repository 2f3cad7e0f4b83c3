/** `flotilla operator list|set|remove`: the people who use the API, with their roles. @module */
import { Command, Option } from 'commander';
import { operatorRoles, type OperatorRole } from '../../core/protocol/operator-role.ts';
import { adminClient, type AdminOptions } from '../lib/admin-client.ts';
import { stateCommand, urlOption, type CommandAction } from '../lib/command-context.ts';
import { confirmed, destructive, type ConfirmationOptions } from '../lib/confirmation.ts';
import { table } from '../lib/output.ts';
import type { Runner } from '../lib/runner.ts';
import { addOwnIdentity, ownIdentityParameter } from './device-restriction.ts';

interface OwnOptions extends AdminOptions, ConfirmationOptions {
  readonly ownIdentity?: boolean;
}

interface SetOptions extends OwnOptions {
  readonly role: OperatorRole;
  readonly disabled?: boolean;
}

export function operatorCommand(runner: Runner): Command {
  return new Command('operator')
    .description('manage the people who use the API and the web console')
    .addCommand(
      stateCommand('list', 'list the operators')
        .option(...urlOption)
        .action(runner.run(list)),
    )
    .addCommand(
      addOwnIdentity(stateCommand('set', 'create an operator, or change role and state of one'))
        .argument('<name>', 'name of the operator')
        .addOption(
          new Option('--role <role>', 'what the operator may do')
            .choices(operatorRoles)
            .makeOptionMandatory(),
        )
        .option('--disabled', 'refuse every credential of the operator')
        .option(...urlOption)
        .action(runner.runWith(set)),
    )
    .addCommand(
      addOwnIdentity(
        destructive(stateCommand('remove', 'delete an operator with its keys and sessions')),
      )
        .argument('<name>', 'name of the operator')
        .option(...urlOption)
        .action(runner.runWith(remove)),
    );
}

const list: CommandAction<AdminOptions> = async (options, context) => {
  const { out } = context;
  const client = await adminClient(options, context);
  const page = await client.api.listOperators();
  const rows = page.operators.map(({ name, role, disabled, keys, createdAt, createdBy }) => [
    ...[name, role],
    disabled ? out.style.color('red', 'disabled') : out.style.color('green', 'enabled'),
    ...[String(keys), out.time(createdAt), createdBy],
  ]);
  out.result(
    page,
    rows.length === 0
      ? 'no operators: only certificates of role admin may use the API'
      : table([['NAME', 'ROLE', 'STATE', 'KEYS', 'CREATED', 'BY'], ...rows]),
  );
  return 0;
};

const set = async (
  name: string,
  ...[options, context]: Parameters<CommandAction<SetOptions>>
): Promise<number> => {
  const { role, disabled = false } = options;
  const client = await adminClient(options, context);
  const body = { role, disabled };
  const operator = await client.api.putOperator({
    name,
    query: ownIdentityParameter(options),
    body,
  });
  context.out.result(
    operator,
    `${operator.name} is ${operator.role}${operator.disabled ? ', disabled' : ''}`,
  );
  return 0;
};

const remove = async (
  name: string,
  ...[options, context]: Parameters<CommandAction<OwnOptions>>
): Promise<number> => {
  const client = await adminClient(options, context);
  const change = {
    action: 'remove',
    summary: `delete the operator ${name}`,
    count: 1,
    targets: [name],
    effects: ['Its API keys and browser sessions end now.'],
  };
  const go = await confirmed(change, options, context);
  if (go !== true) return go;
  await client.api.deleteOperator({ name, query: ownIdentityParameter(options) });
  context.out.result({ name, removed: true }, `deleted ${name}`);
  return 0;
};
