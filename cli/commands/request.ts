/** `flotilla request list|approve|deny`: decides enrollments that wait for an operator. @module */
import { Command } from 'commander';
import { pendingRequestSchema, requestPageSchema } from '../../core/protocol/enrollment-api.ts';
import { adminClient, type AdminOptions } from '../lib/admin-client.ts';
import { stateCommand, urlOption, type CommandAction } from '../lib/command-context.ts';
import { table } from '../lib/output.ts';
import type { Runner } from '../lib/runner.ts';

interface DecideOptions extends AdminOptions {
  readonly group?: string;
  readonly role?: string;
}

export function requestCommand(runner: Runner): Command {
  return new Command('request')
    .description('manage enrollments that wait for approval')
    .addCommand(
      stateCommand('list', 'list the pending requests')
        .option(...urlOption)
        .action(runner.run(list)),
    )
    .addCommand(
      stateCommand(
        'approve',
        'approve a request; the device gets its certificate with its next attempt',
      )
        .argument('<id>', 'request id, as request list shows it')
        .option('--group <name>', 'group of the device')
        .option('--role <name>', 'role of the device in the policy (default: device)')
        .option(...urlOption)
        .action(runner.runWith(decide('approve'))),
    )
    .addCommand(
      stateCommand('deny', 'deny a request')
        .argument('<id>', 'request id, as request list shows it')
        .option(...urlOption)
        .action(runner.runWith(decide('deny'))),
    );
}

const list: CommandAction<AdminOptions> = async (options, context) => {
  const client = await adminClient(options, context);
  const page = await client.json('GET', '/v1/requests', requestPageSchema);
  context.out.result(
    page,
    page.requests.length === 0
      ? 'no pending requests'
      : table([
          ['ID', 'DEVICE', 'KEY FINGERPRINT', 'FROM', 'RECEIVED'],
          ...page.requests.map((r) => [
            r.id,
            r.device,
            r.fingerprint,
            r.remoteAddress,
            r.receivedAt,
          ]),
        ]),
  );
  return 0;
};

function decide(
  decision: 'approve' | 'deny',
): (id: string, ...rest: Parameters<CommandAction<DecideOptions>>) => Promise<number> {
  return async (id, options, context) => {
    const { group, role } = options;
    const client = await adminClient(options, context);
    const path = `/v1/requests/${encodeURIComponent(id)}/${decision}`;
    const request = await client.json('POST', path, pendingRequestSchema, {
      ...(group === undefined ? {} : { group }),
      ...(role === undefined ? {} : { role }),
    });
    context.out.result(
      request,
      `${decision === 'approve' ? 'approved' : 'denied'} ${request.device}`,
    );
    return 0;
  };
}
