/** `flotilla group revoke`: revokes every device of a group. @module */
import { Command, Option } from 'commander';
import {
  groupRevokedSchema,
  revocationReasons,
  type RevocationReason,
} from '../../core/protocol/enrollment-api.ts';
import { adminClient, type AdminOptions } from '../lib/admin-client.ts';
import { stateCommand, urlOption, type CommandAction } from '../lib/command-context.ts';
import type { Runner } from '../lib/runner.ts';
import { reportUnconfirmed } from '../lib/unconfirmed.ts';

interface RevokeOptions extends AdminOptions {
  readonly reason: RevocationReason;
}

export function groupCommand(runner: Runner): Command {
  return new Command('group').description('manage groups of devices').addCommand(
    stateCommand('revoke', 'revoke every device of a group and close their connections')
      .argument('<group>', 'name of the group')
      .addOption(
        new Option('--reason <reason>', 'revocation reason of RFC 5280')
          .choices(revocationReasons)
          .default('unspecified'),
      )
      .option(...urlOption)
      .action(runner.runWith(revoke)),
  );
}

const revoke = async (
  group: string,
  ...[options, context]: Parameters<CommandAction<RevokeOptions>>
): Promise<number> => {
  const client = await adminClient(options, context);
  const path = `/v1/groups/${encodeURIComponent(group)}/revoke`;
  const done = await client.json('POST', path, groupRevokedSchema, { reason: options.reason });
  context.out.result(
    done,
    `revoked ${done.devices.length} devices of ${done.group}: ${done.serials.length} certificates, ` +
      `${done.connectionsClosed} connections closed, ${Math.round(done.elapsedMs)} ms`,
  );
  // A group without devices is most likely a misspelled name.
  if (done.devices.length === 0) return 1;
  return reportUnconfirmed(done.brokersUnconfirmed, context.out);
};
