/**
 * `clone-attack`: a thief has a device's key and certificate. It comes under the device's own
 * name, under another device's name, and under a name of its own.
 *
 * What MQTT cannot prevent: with everything copied, the thief is the device, and takes its place until
 * the device takes it back. What must hold: never both at once, nobody else's name, nobody else
 * disturbed.
 *
 * @module
 */
import type { PhaseOf } from '../plan/phase-schema.ts';
import { seeded, shuffled } from '../plan/seed.ts';
import type { AttemptResult } from '../worker/protocol.ts';
import { bystanderEvidence, watchBystanders } from './bystanders.ts';
import { connectedDevices, type PhaseContext, type PhaseOutcome } from './phase-context.ts';
import { waitForOnline } from './reconnect-phases.ts';

interface CloneAttempt {
  readonly own: AttemptResult;
  /** Whether the true device lost its place while the thief was let in. */
  readonly displaced: boolean;
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
  const neighbour = order.at(-1);
  if (cloned.length === 0 || neighbour === undefined || cloned.includes(neighbour)) {
    return {
      passed: false,
      evidence: ['there are too few connected devices for this drill'],
      figures: {},
    };
  }
  const bystanders = await watchBystanders(context, cloned);
  const cloneAttempts: CloneAttempt[] = [];
  for (const device of cloned) {
    const worker = pool.workerOf(device);
    for (let attempt = 0; attempt < spec.attempts && !signal.aborted; attempt++) {
      const others = await worker.call('attempt', {
        device,
        resume: false,
        holdMs,
        clientId: roster.idOf(neighbour),
      });
      const invented = await worker.call('attempt', {
        device,
        resume: false,
        holdMs,
        clientId: `thief-${run}-${attempt}`,
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

/** Pure: what the drill proved. */
export function judgeClones(
  cloneAttempts: readonly CloneAttempt[],
  away: number,
  drops: number,
): PhaseOutcome {
  const accepted = (pick: (theft: CloneAttempt) => AttemptResult): CloneAttempt[] =>
    cloneAttempts.filter((theft) => pick(theft).outcome === 'accepted');
  const asOthers = accepted(({ others }) => others).length;
  const asInvented = accepted(({ invented }) => invented).length;
  const asOwn = accepted(({ own }) => own);
  const both = asOwn.filter(({ displaced }) => !displaced).length;
  const words = (pick: (theft: CloneAttempt) => AttemptResult): string =>
    [...new Set(cloneAttempts.map((theft) => pick(theft).reason))].join(', ');
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
        ? `under another device's name the thief was refused ${cloneAttempts.length} times: ${words(({ others }) => others)}`
        : `under another device's name the thief was let in ${asOthers} times`,
      asInvented === 0
        ? `under an invented name it was refused: ${words(({ invented }) => invented)}`
        : `under an invented name it was let in ${asInvented} times`,
      asOwn.length === 0
        ? `under the device's own name it was refused: ${words(({ own }) => own)}`
        : both === 0
          ? `under the device's own name it took the place ${asOwn.length} times, never beside the device`
          : `${both} times thief and device were connected at the same time`,
      away === 0
        ? 'the robbed devices took their places back'
        : `${away} robbed devices did not come back`,
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
