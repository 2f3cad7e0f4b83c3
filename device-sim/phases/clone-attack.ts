/**
 * `clone-attack`: an attacker has copied a device's key and certificate. It connects with the device's
 * own client id, with another device's, and with an invented one.
 *
 * MQTT cannot prevent that the copy replaces the device until the device reconnects. But they must
 * never be connected at the same time, the copy must not connect with another name, and no other device
 * may be disturbed.
 *
 * @module
 */
import type { PhaseOf } from '../plan/phase-schema.ts';
import { seeded, shuffled } from '../plan/seed.ts';
import type { AttemptResult } from '../worker/protocol.ts';
import { bystanderEvidence, watchBystanders } from './bystanders.ts';
import {
  connectedDevices,
  tooFewDevices,
  type PhaseContext,
  type PhaseOutcome,
} from './phase-context.ts';
import { waitForOnline } from './reconnect-phases.ts';

interface CloneAttempt {
  readonly own: AttemptResult;
  /** Whether the real device was disconnected while the copy was accepted. */
  readonly displaced: boolean;
  /** With another device's client id. */
  readonly others: AttemptResult;
  readonly invented: AttemptResult;
}

const holdMs = 150;

export async function runCloneAttack(
  spec: PhaseOf<'clone-attack'>,
  context: PhaseContext,
): Promise<PhaseOutcome> {
  const { pool, roster, seed, name, run, signal } = context;
  const order = shuffled(connectedDevices(context, spec.groups), seeded(seed, 'clone', name));
  const cloned = order.slice(0, spec.devices);
  const other = order.at(-1);
  if (cloned.length === 0 || other === undefined || cloned.includes(other)) return tooFewDevices;
  const bystanders = await watchBystanders(context, cloned);
  const cloneAttempts: CloneAttempt[] = [];
  for (const device of cloned) {
    const worker = pool.workerOf(device);
    for (let attempt = 0; attempt < spec.attempts && !signal.aborted; attempt++) {
      const others = await worker.call('attempt', {
        device,
        resume: false,
        holdMs,
        clientId: roster.idOf(other),
      });
      const invented = await worker.call('attempt', {
        device,
        resume: false,
        holdMs,
        clientId: `clone-${run}-${attempt}`,
      });
      const watched = worker.call('watchClose', { device, timeoutMs: 2000 });
      const own = await worker.call('attempt', { device, resume: false, holdMs });
      const displaced =
        own.outcome === 'refused'
          ? (await worker.call('status', { devices: [device] }))[0]?.state !== 'online'
          : (await watched) !== null;
      cloneAttempts.push({ own, displaced, others, invented });
      await waitForOnline(context, [device], 20_000);
    }
  }
  const away = await waitForOnline(context, cloned, 20_000);
  return judgeClones(cloneAttempts, away, await bystanders.drops());
}

/** Judges the drill. Pure. */
export function judgeClones(
  cloneAttempts: readonly CloneAttempt[],
  away: number,
  drops: number,
): PhaseOutcome {
  const accepted = (pick: (attempt: CloneAttempt) => AttemptResult): CloneAttempt[] =>
    cloneAttempts.filter((attempt) => pick(attempt).outcome === 'accepted');
  const asOthers = accepted(({ others }) => others).length;
  const asInvented = accepted(({ invented }) => invented).length;
  const asOwn = accepted(({ own }) => own);
  const both = asOwn.filter(({ displaced }) => !displaced).length;
  const reasons = (pick: (attempt: CloneAttempt) => AttemptResult): string =>
    [...new Set(cloneAttempts.map((attempt) => pick(attempt).reason))].join(', ');
  return {
    passed:
      cloneAttempts.length > 0 &&
      asOthers === 0 &&
      asInvented === 0 &&
      both === 0 &&
      away === 0 &&
      drops === 0,
    evidence: [
      asOthers === 0
        ? `with another device's client id the copy was rejected ${cloneAttempts.length} times: ${reasons(({ others }) => others)}`
        : `with another device's client id the copy was accepted ${asOthers} times`,
      asInvented === 0
        ? `with an invented client id it was rejected: ${reasons(({ invented }) => invented)}`
        : `with an invented client id it was accepted ${asInvented} times`,
      asOwn.length === 0
        ? `with the device's own client id it was rejected: ${reasons(({ own }) => own)}`
        : both === 0
          ? `with the device's own client id it replaced the device ${asOwn.length} times; they were never connected at the same time`
          : `the copy and the device were connected at the same time ${both} times`,
      away === 0 ? 'all copied devices reconnected' : `${away} copied devices did not reconnect`,
      bystanderEvidence(drops),
    ],
    figures: {
      attempts: cloneAttempts.length,
      asOthers,
      asInvented,
      takeovers: asOwn.length,
      both,
      away,
      bystanderDrops: drops,
    },
  };
}
