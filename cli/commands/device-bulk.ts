/** `flotilla device bulk`: changes all devices that a filter matches. @module */
import { Option, type Command } from 'commander';
import { amountText } from '../../core/amount-text.ts';
import { revocationReasons } from '../../core/protocol/enrollment-api.ts';
import type {
  ChangeDevicesRequest,
  ChangeDevicesResponse,
} from '../../core/protocol/api-client.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { adminClient, type AdminOptions } from '../lib/admin-client.ts';
import { durationMs, stateCommand, urlOption, type CommandAction } from '../lib/command-context.ts';
import { confirmed, destructive, type ConfirmationOptions } from '../lib/confirmation.ts';
import type { Runner } from '../lib/runner.ts';
import { reportUnconfirmed } from '../lib/unconfirmed.ts';

const actions = ['suspend', 'resume', 'revoke', 'delete'] as const;

interface BulkOptions extends AdminOptions, ConfirmationOptions {
  readonly action: (typeof actions)[number];
  readonly group?: string;
  readonly status?: string;
  readonly prefix?: string;
  readonly attribute: readonly string[];
  readonly expiresWithin?: number;
  readonly reason: (typeof revocationReasons)[number];
}

export function bulkCommand(runner: Runner): Command {
  return destructive(
    stateCommand('bulk', 'suspend, resume, revoke or delete all devices that a filter matches'),
  )
    .addOption(new Option('--action <action>', 'what to do').choices(actions).makeOptionMandatory())
    .option('--group <name>', 'devices of this group')
    .option('--status <status>', 'devices with this status')
    .option('--prefix <text>', 'devices whose id begins with this text')
    .option('--attribute <name=value...>', 'devices with these attributes', [] as string[])
    .option('--expires-within <duration>', 'devices whose certificate expires soon', durationMs)
    .addOption(
      new Option('--reason <reason>', 'revocation reason of RFC 5280')
        .choices(revocationReasons)
        .default('unspecified'),
    )
    .option(...urlOption)
    .action(runner.run(bulk));
}

const bulk: CommandAction<BulkOptions> = async (options, context) => {
  const { out } = context;
  const filter = filterOf(options);
  const client = await adminClient(options, context);
  const call = (more: Partial<ChangeDevicesRequest>): Promise<ChangeDevicesResponse> =>
    client.api.changeDevices({
      body: {
        ...{ filter, action: options.action },
        ...(options.action === 'revoke' ? { reason: options.reason } : {}),
        ...more,
      },
    });
  const counted = await call({ dryRun: true });
  const { matched, sample } = counted;
  const names = sample.slice(0, 5).join(', ') + (matched > 5 ? ', …' : '');
  if (options.dryRun === true || matched === 0) {
    out.result(
      counted,
      `${amountText(matched, 'device matches', 'devices match')}${matched === 0 ? '' : `: ${names}`}`,
    );
    return matched === 0 ? 1 : 0;
  }
  const summary = `${options.action} ${amountText(matched, 'device')} (${names})`;
  const change = { action: options.action, summary, count: matched, targets: sample };
  const go = await confirmed(change, options, context);
  if (go !== true) return go;
  // Another number than the one that was confirmed changes nothing.
  const done = await call({ expected: matched });
  const faults = done.failures.map(({ id, code }) => `FAILED ${id} [${code}]`);
  out.result(
    done,
    [
      ...faults,
      `${options.action}: ${done.changed} of ${amountText(done.matched, 'device')}, ${amountText(done.connectionsClosed, 'connection')} closed`,
    ].join('\n'),
  );
  const unconfirmed = options.action === 'resume' ? 0 : reportUnconfirmed(done, out);
  return done.failed === 0 ? unconfirmed : 1;
};

/** @throws FlotillaError `usage` without a condition: it would match the whole fleet */
function filterOf(options: BulkOptions): object {
  const { group, status, prefix, attribute, expiresWithin } = options;
  const attributes = attribute.map((pair) => {
    const at = pair.indexOf('=');
    if (at < 1) throw new FlotillaError('usage', { detail: '--attribute needs name=value' });
    return [pair.slice(0, at), pair.slice(at + 1)] as const;
  });
  const filter = {
    ...(group === undefined ? {} : { group }),
    ...(status === undefined ? {} : { status }),
    ...(prefix === undefined ? {} : { prefix }),
    ...(attributes.length === 0 ? {} : { attributes: Object.fromEntries(attributes) }),
    ...(expiresWithin === undefined
      ? {}
      : { expiresWithinSeconds: Math.ceil(expiresWithin / 1000) }),
  };
  if (Object.keys(filter).length === 0) {
    throw new FlotillaError('usage', {
      detail: 'specify --group, --status, --prefix, --attribute or --expires-within',
    });
  }
  return filter;
}
