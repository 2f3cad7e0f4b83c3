/** `flotilla reconcile`: what a restored registry has lost, and how to apply it again. @module */
import type { Command } from 'commander';
import { amountText } from '../../core/amount-text.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
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
  const client = await adminClient(options, context);
  const found = await client.api.getLostChanges();
  const { brokers, differences, total } = found;
  if (options.apply !== true && options.discard !== true) {
    const rows = differences
      .slice(0, linesMax)
      .map(({ device, action, serials, sources }) => [
        device,
        action,
        serials.join(' '),
        sources.join(' '),
      ]);
    const text =
      total === 0 && brokers.length === 0
        ? 'no broker knows more than the registry'
        : [
            ...brokers.map(
              ({ broker, commit, since }) =>
                `${broker} knows commit ${commit}; the registry began again at ${since}`,
            ),
            ...(rows.length === 0
              ? []
              : [table([['DEVICE', 'ACTION', 'CERTIFICATES', 'KNOWN BY'], ...rows])]),
            `${amountText(total, 'difference')}; --apply repeats them, --discard forgets them`,
          ].join('\n');
    out.result(found, text);
    return total === 0 && brokers.length === 0 ? 0 : 1;
  }
  const adoptable = differences.some(({ action }) => action === 'adopt');
  if (options.apply === true && options.discard === true) {
    throw new FlotillaError('usage', { detail: 'choose --apply or --discard' });
  }
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
  const faults = done.failures.map(({ device, code }) => `FAILED ${device} [${code}]`);
  out.result(
    done,
    [
      ...faults,
      `${done.applied} applied, ${done.skipped} not applied; brokers: ${done.brokers.join(', ') || 'none'}`,
    ].join('\n'),
  );
  return done.failures.length === 0 ? 0 : 1;
};
