/** `flotilla token list|revoke`: the enrollment tokens that exist. @module */
import { Option, type Command } from 'commander';
import type { DeviceId } from '../../core/device-id.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { adminClient, type AdminOptions } from '../lib/admin-client.ts';
import {
  deviceId,
  stateCommand,
  urlOption,
  wholeNumber,
  type CommandAction,
} from '../lib/command-context.ts';
import { confirmed, destructive, type ConfirmationOptions } from '../lib/confirmation.ts';
import { table } from '../lib/output.ts';
import type { Runner } from '../lib/runner.ts';

interface ListOptions extends AdminOptions {
  readonly device?: DeviceId;
  readonly group?: string;
  readonly status?: 'active' | 'used' | 'expired';
  readonly limit: number;
  readonly after?: string;
}

export function tokenListCommand(runner: Runner): Command {
  return stateCommand('list', 'list enrollment tokens, newest first; the secrets are not stored')
    .option('--device <id>', 'only tokens of this device', deviceId)
    .option('--group <name>', 'only tokens of this group')
    .addOption(
      new Option('--status <status>', 'only tokens with this status').choices([
        'active',
        'used',
        'expired',
      ]),
    )
    .option('--limit <n>', 'maximum number of tokens', wholeNumber, 100)
    .option('--after <cursor>', 'start after this position, for the next page')
    .option(...urlOption)
    .action(runner.run(list));
}

export function tokenRevokeCommand(runner: Runner): Command {
  return destructive(
    stateCommand('revoke', 'delete a token, so that no device can use it any more'),
  )
    .argument('<name>', 'name of the token, as token list shows it')
    .option(...urlOption)
    .action(runner.runWith(revoke));
}

const revoke = async (
  name: string,
  ...[options, context]: Parameters<CommandAction<AdminOptions & ConfirmationOptions>>
): Promise<number> => {
  if (!/^token:[0-9a-f]{16}$/.test(name)) {
    throw new FlotillaError('usage', {
      detail: `${name} is not the name of a token, like token:0123456789abcdef; flotilla token list shows the names`,
    });
  }
  const client = await adminClient(options, context);
  const change = {
    action: 'revoke',
    summary: `revoke ${name}`,
    count: 1,
    targets: [name],
    effects: ['Devices that have enrolled with it remain enrolled.'],
  };
  const go = await confirmed(change, options, context);
  if (go !== true) return go;
  await client.api.revokeToken({ name });
  context.out.result({ name, revoked: true }, `revoked ${name}`);
  return 0;
};

const list: CommandAction<ListOptions> = async (options, context) => {
  const client = await adminClient(options, context);
  const { device, group, status, after, limit } = options;
  const page = await client.api.listTokens({ query: { device, group, status, after, limit } });
  const { out } = context;
  const rows = page.tokens.map((token) => [
    ...[token.name, token.device ?? '-', token.group ?? '-', token.role ?? '-'],
    out.style.color(token.status === 'active' ? 'green' : 'dim', token.status),
    ...[`${token.uses}/${token.usesMax}`, out.time(token.expiresAt)],
  ]);
  const next = page.next === null ? [] : [`more: --after ${page.next}`];
  out.result(
    page,
    rows.length === 0
      ? 'no tokens'
      : [
          table([['TOKEN', 'DEVICE', 'GROUP', 'ROLE', 'STATUS', 'USES', 'EXPIRES'], ...rows]),
          ...next,
        ].join('\n'),
  );
  return 0;
};
