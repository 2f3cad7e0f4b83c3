/** `flotilla request list|approve|deny`: decides enrollments that wait for an operator. @module */
import { Command } from 'commander';
import { amountText } from '../../core/amount-text.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { ApproveRequestResponse } from '../../core/protocol/api-client.ts';
import { adminClient, type AdminOptions } from '../lib/admin-client.ts';
import { stateCommand, urlOption, type CommandAction } from '../lib/command-context.ts';
import { confirmed, destructive, type ConfirmationOptions } from '../lib/confirmation.ts';
import { table } from '../lib/output.ts';
import type { Runner } from '../lib/runner.ts';

interface ApproveOptions extends AdminOptions {
  readonly group?: string;
  readonly role?: string;
}

interface DenyOptions extends AdminOptions, ConfirmationOptions {
  readonly all?: boolean;
}

/** Shorter beginnings of an id are most likely a mistake. */
const idCharsMin = 4;

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
        .argument('<request>', 'request id or its beginning, or the device')
        .option('--group <name>', 'group of the device')
        .option('--role <name>', 'role of the device in the policy (default: device)')
        .option(...urlOption)
        .action(runner.runWith(approve)),
    )
    .addCommand(
      destructive(stateCommand('deny', 'deny requests'))
        .argument('[request...]', 'request ids or their beginnings, or devices')
        .option('--all', 'deny every pending request')
        .option(...urlOption)
        .action(runner.runWithList(deny)),
    );
}

const list: CommandAction<AdminOptions> = async (options, context) => {
  const client = await adminClient(options, context);
  const page = await client.api.listRequests();
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
            context.out.time(r.receivedAt),
          ]),
        ]),
  );
  return 0;
};

const approve = async (
  name: string,
  ...[options, context]: Parameters<CommandAction<ApproveOptions>>
): Promise<number> => {
  const { group, role } = options;
  const client = await adminClient(options, context);
  const { requests } = await client.api.listRequests();
  const request = await client.api.approveRequest({
    id: requestNamed(name, requests).id,
    body: { group, role },
  });
  context.out.result(request, `approved ${request.device}`);
  return 0;
};

const deny = async (
  names: readonly string[],
  ...[options, context]: Parameters<CommandAction<DenyOptions>>
): Promise<number> => {
  if ((names.length === 0) === (options.all !== true)) {
    throw new FlotillaError('usage', { detail: 'name the requests, or specify --all' });
  }
  const client = await adminClient(options, context);
  const { requests } = await client.api.listRequests();
  const chosen =
    options.all === true ? requests : names.map((name) => requestNamed(name, requests));
  const devices = chosen.map(({ device }) => device);
  const change = {
    action: 'deny',
    summary: `deny ${amountText(chosen.length, 'request')} (${devices.slice(0, 5).join(', ')}${devices.length > 5 ? ', …' : ''})`,
    count: chosen.length,
    targets: devices,
    effects: ['A denied device needs a new key to request again.'],
  };
  const go = await confirmed(change, options, context);
  if (go !== true) return go;
  const denied: ApproveRequestResponse[] = [];
  for (const request of chosen)
    denied.push(await client.api.denyRequest({ id: request.id, body: {} }));
  const [only] = denied;
  // One request is one document, as with approve.
  context.out.result(
    denied.length === 1 && only !== undefined ? only : { requests: denied },
    denied.length === 0 ? 'no pending requests' : `denied ${devices.join(', ')}`,
  );
  return 0;
};

/** @throws FlotillaError `request-not-found`, `usage` when several requests match */
function requestNamed(
  name: string,
  requests: readonly ApproveRequestResponse[],
): ApproveRequestResponse {
  const found = requests.filter(
    ({ id, device }) =>
      id === name || device === name || (name.length >= idCharsMin && id.startsWith(name)),
  );
  const [first] = found;
  if (first === undefined) throw new FlotillaError('request-not-found', { detail: name });
  if (found.length > 1) {
    throw new FlotillaError('usage', {
      detail: `${name} names ${found.length} requests: ${found.map(({ id }) => id).join(', ')}`,
    });
  }
  return first;
}
