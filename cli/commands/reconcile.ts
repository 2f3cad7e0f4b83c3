/** `flotilla reconcile`: what a restored registry has lost, and how to apply it again. @module */
import type { Command } from 'commander';
import { amountText } from '../../core/amount-text.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type {
  DecideLostChangesResponse,
  GetLostChangesResponse,
} from '../../core/protocol/api-client.ts';
import { adminClient, type AdminOptions } from '../lib/admin-client.ts';
import { stateCommand, urlOption, type CommandAction } from '../lib/command-context.ts';
import { confirmed, destructive, type ConfirmationOptions } from '../lib/confirmation.ts';
import { table } from '../lib/output.ts';
import type { Runner } from '../lib/runner.ts';

interface ReconcileOptions extends AdminOptions, ConfirmationOptions {
  readonly apply?: boolean;
  readonly adopt?: boolean;
  readonly discard?: boolean;
}

const linesMax = 200;

export function reconcileCommand(runner: Runner): Command {
  return destructive(
    stateCommand(
      'reconcile',
      'after a restore: show what brokers and the audit log know more than the registry; exit code 1 if anything',
    )
      .option('--apply', 'revoke, suspend and delete again')
      .option('--adopt', 'with --apply: accept certificates that were issued after the backup')
      .option('--no-adopt', 'with --apply: refuse them; their devices need new tokens')
      .option('--discard', 'make the brokers forget what they know more')
      .option(...urlOption),
  ).action(runner.run(reconcile));
}

const reconcile: CommandAction<ReconcileOptions> = async (options, context) => {
  const { out } = context;
  assertClear(options);
  const client = await adminClient(options, context);
  const found = await client.api.getLostChanges();
  const { brokers, differences, total } = found;
  const isNothing = total === 0 && brokers.length === 0;
  if (options.apply !== true && options.discard !== true) {
    out.result(found, foundText(found));
    return isNothing ? 0 : 1;
  }
  const adoptable = differences.some(({ action }) => action === 'adopt');
  if (options.apply === true && adoptable && options.adopt === undefined) {
    throw new FlotillaError('usage', {
      detail: 'certificates were issued after the backup: choose --adopt or --no-adopt',
    });
  }
  const action = options.apply === true ? 'apply' : 'discard';
  const targets = [...new Set(differences.map(({ device }) => device))];
  const summary = `${action} ${amountText(total, 'difference')} of ${amountText(targets.length, 'identity', 'identities')}`;
  const go = await confirmed({ action, summary, count: total, targets }, options, context);
  if (go !== true) return go;
  const done = await client.api.decideLostChanges({
    body: { action, adopt: options.adopt ?? false, expected: total },
  });
  out.result(done, isNothing ? foundText(found) : doneText(done, action));
  return done.failures.length === 0 ? 0 : 1;
};

/** @throws FlotillaError `usage` */
function assertClear({ apply, adopt, discard }: ReconcileOptions): void {
  if (apply === true && discard === true) {
    throw new FlotillaError('usage', { detail: 'choose --apply or --discard' });
  }
  if (apply !== true && adopt !== undefined) {
    throw new FlotillaError('usage', { detail: '--adopt and --no-adopt belong to --apply' });
  }
}

function foundText({ brokers, differences, total, brokersAbsent }: GetLostChangesResponse): string {
  const absent =
    brokersAbsent.length === 0
      ? []
      : [`not connected, and not asked: ${brokersAbsent.join(', ')}; try again when they are`];
  if (total === 0 && brokers.length === 0) {
    const who = absent.length === 0 ? 'no broker' : 'no connected broker';
    return [`${who} knows more than the registry`, ...absent].join('\n');
  }
  return [
    ...brokers.map(
      ({ broker, commit, since }) =>
        `${broker} knows commit ${commit}; the registry began again at ${since}`,
    ),
    ...absent,
    ...listText(differences),
    `${amountText(total, 'difference')}; --apply repeats them, --discard forgets them`,
  ].join('\n');
}

function doneText(
  { applied, skipped, left, failures, brokers }: DecideLostChangesResponse,
  action: 'apply' | 'discard',
): string {
  const faults = failures.map(({ device, code }) => `FAILED ${device} [${code}]`);
  const informed =
    failures.length === 0
      ? `brokers with the state of the registry: ${brokers.join(', ') || 'none'}`
      : 'the brokers keep what they know; repeat the command when the cause is gone';
  if (action === 'discard') return `${amountText(skipped, 'difference')} discarded; ${informed}`;
  return [
    ...faults,
    ...listText(left),
    `${applied} applied, ${skipped} not applied; ${informed}`,
  ].join('\n');
}

/** The differences, and what the actions mean that the command does not do alone. */
function listText(differences: GetLostChangesResponse['differences']): string[] {
  if (differences.length === 0) return [];
  const rows = differences
    .slice(0, linesMax)
    .map(({ device, action, serials, sources }) => [
      device,
      action,
      serials.join(' '),
      sources.join(' '),
    ]);
  const has = (wanted: 'adopt' | 'manual'): boolean =>
    differences.some(({ action }) => action === wanted);
  return [
    table([['IDENTITY', 'ACTION', 'CERTIFICATES', 'KNOWN BY'], ...rows]),
    ...(has('adopt')
      ? ['adopt: certificates that were issued after the backup; without --adopt, new tokens']
      : []),
    ...(has('manual')
      ? ['manual: flotilla service create; admin and broker of the state: flotilla init --restore']
      : []),
  ];
}
