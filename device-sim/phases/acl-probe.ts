/**
 * `acl-probe`: devices subscribe and publish to topics of other devices, wildcards and system topics.
 * A rejected subscription is proof enough. A granted one must deliver nothing while other devices
 * send. A forged message must not reach anybody.
 *
 * @module
 */
import { setTimeout as delay } from 'node:timers/promises';
import { brokerIndexOf } from '../fleet/broker-choice.ts';
import type { PhaseOf } from '../plan/phase-schema.ts';
import { seeded, shuffled } from '../plan/seed.ts';
import { wrap } from '../traffic/envelope.ts';
import {
  connectedDevices,
  tooFewDevices,
  type PhaseContext,
  type PhaseOutcome,
} from './phase-context.ts';
import { waitForOnline } from './reconnect-phases.ts';

/** Filters that a device may not subscribe to; `{other}` is another device. */
export const forbiddenFilters = [
  '#',
  '+/#',
  '+/+/+',
  'devices/#',
  'devices/+/telemetry',
  'devices/+/commands/#',
  'devices/{other}/#',
  'devices/{other}/telemetry',
  'devices/{other}/commands/#',
  '$SYS/#',
  '$SYS/broker/clients/connected',
  '$fleet/#',
  '$fleet/presence/+',
  '$share/probe/devices/#',
  '$share/probe/#',
] as const;

/** Topics that a device may not publish to. */
export const forbiddenTopics = [
  'devices/{other}/telemetry',
  'devices/{other}/commands/sim',
  'devices/{other}/replies',
  '$fleet/presence/{other}',
  '$SYS/broker/version',
  'probe',
] as const;

const reconnectMaxMs = 20_000;
const arrivalWaitMs = 500;
/** No device gets this far in a run, so that a forged message cannot be mistaken for a true one. */
const forgedSequence = 2_000_000_000;

export async function runAclProbe(
  spec: PhaseOf<'acl-probe'>,
  context: PhaseContext,
): Promise<PhaseOutcome> {
  const { pool, seed, name, signal } = context;
  const all = shuffled(connectedDevices(context, spec.groups), seeded(seed, 'acl', name));
  // Leaks are only looked for within one broker.
  const broker = brokerIndexOf(all[0] ?? 0, context.brokers.length);
  const order = all.filter((device) => brokerIndexOf(device, context.brokers.length) === broker);
  const probers = order.slice(0, spec.devices);
  const other = order.at(-1);
  if (other === undefined || probers.includes(other)) return tooFewDevices;
  const before = await misdeliveredSoFar(context);
  const subscriptions = await trySubscriptions(probers, other, context);
  // Send in both directions: a device that listens where it must not would receive these messages.
  await pool.workerOf(other).call('sendOne', { devices: [other] });
  await pool.command({
    commands: [{ device: other, atMs: context.clock.now() }],
    qos: 1,
    bytes: 0,
    reply: false,
    accounted: true,
  });
  await delay(arrivalWaitMs, undefined, { signal });
  const outcomes = await tryForgeries(probers, other, context);
  await delay(arrivalWaitMs, undefined, { signal });
  await pool.callAll('flush', {});
  const leaks = (
    await Promise.all(
      pool
        .shares([...probers, other])
        .map(({ worker, devices }) => worker.call('leaks', { devices })),
    )
  ).flatMap(({ topics }) => topics);
  const forged = (await misdeliveredSoFar(context)) - before - leaks.length;
  for (const { device, filter } of subscriptions.active) {
    await pool.workerOf(device).call('unsubscribe', { device, filter });
  }
  return judgeProbe({
    refused: subscriptions.refused,
    granted: subscriptions.granted,
    outcomes,
    leaks,
    forged: Math.max(0, forged),
    listening: pool.observers.length > 0,
  });
}

async function trySubscriptions(
  probers: readonly number[],
  other: number,
  context: PhaseContext,
): Promise<{
  refused: number;
  granted: Map<string, number>;
  active: { device: number; filter: string }[];
}> {
  const { pool, roster, signal } = context;
  const granted = new Map<string, number>();
  const active: { device: number; filter: string }[] = [];
  let refused = 0;
  for (const template of forbiddenFilters) {
    for (const device of probers) {
      const filter = template.replaceAll('{other}', roster.idOf(other));
      const { code } = await pool.workerOf(device).call('subscribe', { device, filter, qos: 1 });
      if (code !== null && code < 0x80) {
        granted.set(template, (granted.get(template) ?? 0) + 1);
        active.push({ device, filter });
      } else {
        refused++;
      }
      if (code === null) await waitForOnline(context, [device], reconnectMaxMs);
    }
    if (signal.aborted) break;
  }
  return { refused, granted, active };
}

/** Publishes to forbidden topics. Resolves with each reaction of the broker and how often it came. */
async function tryForgeries(
  probers: readonly number[],
  other: number,
  context: PhaseContext,
): Promise<Map<string, number>> {
  const { pool, roster, run, clock, signal } = context;
  const outcomes = new Map<string, number>();
  for (const topic of forbiddenTopics) {
    for (const device of probers) {
      const payload = wrap(
        { run, id: roster.idOf(device), seq: forgedSequence, atUs: clock.nowUs() },
        '',
      );
      const { session, mqtt } = roster.groupOf(device);
      const { failure, stillOnline } = await pool.workerOf(device).call('publish', {
        device,
        topic: topic.replaceAll('{other}', roster.idOf(other)),
        payload,
        // MQTT 3.1.1 can only reject a PUBLISH by closing the connection, and a kept session sends it
        // again after each reconnect: with QoS 1 such a device would be disconnected again and again.
        qos: session === 'kept' && mqtt === '3.1.1' ? 0 : 1,
      });
      const outcome =
        !stillOnline || failure === 'closed'
          ? 'the connection was closed'
          : (failure ?? 'dropped silently');
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      if (!stillOnline) await waitForOnline(context, [device], reconnectMaxMs);
    }
    if (signal.aborted) break;
  }
  return outcomes;
}

export interface ProbeFindings {
  readonly refused: number;
  /** Filters that were granted, and how often. */
  readonly granted: ReadonlyMap<string, number>;
  /** Reactions to forged messages, and how often each came. */
  readonly outcomes: ReadonlyMap<string, number>;
  /** Topics that reached a device that may not receive them. */
  readonly leaks: readonly string[];
  /** Forged messages that reached an observer. */
  readonly forged: number;
  readonly listening: boolean;
}

/** Judges the probe. Pure. */
export function judgeProbe(findings: ProbeFindings): PhaseOutcome {
  const { refused, granted, outcomes, leaks, forged, listening } = findings;
  const grants = [...granted.values()].reduce((sum, count) => sum + count, 0);
  const forgeries = [...outcomes.values()].reduce((sum, count) => sum + count, 0);
  return {
    passed: leaks.length === 0 && forged === 0 && refused + grants > 0,
    evidence: [
      `${refused} of ${refused + grants} forbidden subscriptions were rejected`,
      ...(grants > 0 ? [`granted filters: ${[...granted.keys()].join('  ')}`] : []),
      leaks.length === 0
        ? 'the probing devices received no message of other devices'
        : `devices received topics of others: ${[...new Set(leaks)].slice(0, 5).join('  ')}`,
      `${forgeries} forged messages: ${[...outcomes].map(([outcome, count]) => `${outcome} (${count})`).join(', ')}`,
      forged === 0
        ? `none of them was delivered${listening ? '' : ' to a device (no observer listened)'}`
        : `${forged} of them were delivered`,
    ],
    figures: { refused, granted: grants, leaks: leaks.length, forgeries, forged },
  };
}

/** All messages delivered to the wrong receiver so far. */
async function misdeliveredSoFar({ pool, stats }: PhaseContext): Promise<number> {
  await pool.callAll('flush', {});
  return stats.totals.counter('misdelivered') + stats.totals.counter('commandsMisdelivered');
}
