/** `flotilla group revoke`: revokes every device of a group. @module */
import { Command } from 'commander';
import { amountText } from '../../core/amount-text.ts';
import { adminClient } from '../lib/admin-client.ts';
import { stateCommand, urlOption, type CommandAction } from '../lib/command-context.ts';
import { confirmed } from '../lib/confirmation.ts';
import type { Runner } from '../lib/runner.ts';
import { reportUnconfirmed } from '../lib/unconfirmed.ts';
import {
  addRevokeOptions,
  ownIdentityParameter,
  type RevokeOptions,
} from './device-restriction.ts';

/** How many ids the question names. */
const sampleMax = 5;

export function groupCommand(runner: Runner): Command {
  return new Command('group').description('manage groups of devices').addCommand(
    addRevokeOptions(
      stateCommand('revoke', 'revoke every device of a group and close their connections')
        .argument('<group>', 'name of the group')
        .option(...urlOption),
    ).action(runner.runWith(revoke)),
  );
}

const revoke = async (
  group: string,
  ...[options, context]: Parameters<CommandAction<RevokeOptions>>
): Promise<number> => {
  const { out } = context;
  const client = await adminClient(options, context);
  const { devices, total = 0 } = await client.api.listDevices({
    query: { group, total: 'true', limit: sampleMax },
  });
  const targets = devices.map(({ id }) => id);
  const names = targets.join(', ') + (total > targets.length ? ', …' : '');
  const summary = `revoke ${amountText(total, 'device')} of group ${group}${total === 0 ? '' : ` (${names})`}`;
  const effects = total === 0 ? [] : ['Their certificates are revoked; this cannot be undone.'];
  const change = { action: 'revoke', summary, count: total, targets, effects };
  const go = await confirmed(change, options, context);
  // A group without devices is most likely a misspelled name.
  if (go !== true) return total === 0 ? 1 : go;
  const query = ownIdentityParameter(options);
  const body = { reason: options.reason };
  const done = await client.api.revokeGroup({ group, query, body });
  out.result(
    done,
    `revoked ${amountText(done.devices.length, 'device')} of ${done.group}: ${amountText(done.serials.length, 'certificate')}, ` +
      `${amountText(done.connectionsClosed, 'connection')} closed, ${Math.round(done.elapsedMs)} ms`,
  );
  return done.devices.length === 0 ? 1 : reportUnconfirmed(done, out);
};
