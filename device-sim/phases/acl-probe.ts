/**
 * `acl-probe`: devices try topics of others, wildcards and system topics. A subscription that is
 * refused proves enough; one that is granted must give nothing, while others send. A forged message
 * must reach nobody.
 *
 * @module
 */
import { setTimeout as delay } from 'node:timers/promises';
import { brokerIndexOf } from '../fleet/broker-choice.ts';
import type { PhaseOf } from '../plan/plan-schema.ts';
import { seeded, shuffled } from '../plan/seed.ts';
import { wrap } from '../traffic/envelope.ts';
import { connectedOnes, epochNow, type PhaseContext, type PhaseOutcome } from './phase-context.ts';
import { stillAway } from './reconnect-phases.ts';

/** Filters that a device has no right to; `{other}` is another device. */
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

/** Topics that a device has no right to publish to. */
export const forbiddenTopics = [
  'devices/{other}/telemetry',
  'devices/{other}/commands/sim',
  'devices/{other}/replies',
  '$fleet/presence/{other}',
  '$SYS/broker/version',
  'probe',
] as const;

export async function runAclProbe(
  spec: PhaseOf<'acl-probe'>,
  context: PhaseContext,
): Promise<PhaseOutcome> {
  const { pool, roster, seed, name, run, signal } = context;
  const all = shuffled(connectedOnes(context, spec.groups), seeded(seed, 'acl', name));
  // Leaks are looked for inside one broker.
  const home = brokerIndexOf(all[0] ?? 0, context.brokers.length);
  const order = all.filter((device) => brokerIndexOf(device, context.brokers.length) === home);
  const probers = order.slice(0, spec.devices);
  const other = order.at(-1);
  if (other === undefined || probers.includes(other)) {
    return {
      passed: false,
      evidence: ['there are too few connected devices for this drill'],
      figures: {},
    };
  }
  const otherId = roster.idOf(other);
  const before = await arrived(context);
  const granted = new Map<string, number>();
  const standing: { device: number; filter: string }[] = [];
  let refused = 0;
  for (const filter of forbiddenFilters) {
    for (const device of probers) {
      const text = filter.replaceAll('{other}', otherId);
      const { code } = await pool.of(device).call('subscribe', { device, filter: text, qos: 1 });
      if (code !== null && code < 0x80) {
        granted.set(filter, (granted.get(filter) ?? 0) + 1);
        standing.push({ device, filter: text });
      } else {
        refused++;
      }
      if (code === null) await stillAway(context, [device], 20_000);
    }
    if (signal.aborted) break;
  }
  // Now others send, both ways: whoever listens where it must not would hear it.
  await pool.of(other).call('sendOne', { devices: [other] });
  const listening = pool.observers.length > 0;
  await pool.command({
    commands: [{ device: other, atMs: epochNow() }],
    qos: 1,
    bytes: 0,
    reply: false,
    accounted: true,
  });
  await delay(500, undefined, { signal });
  const outcomes = new Map<string, number>();
  for (const topic of forbiddenTopics) {
    for (const device of probers) {
      const payload = wrap(
        { run, id: roster.idOf(device), seq: 2_000_000_000, atUs: epochNow() * 1000 },
        '',
      );
      const { session, mqtt } = roster.groupOf(device);
      const { failure, stillOnline } = await pool.of(device).call('publish', {
        device,
        topic: topic.replaceAll('{other}', otherId),
        payload,
        // A kept session sends again what was not acknowledged, and MQTT 3.1.1 has no other way to say
        // no than to close: such a device would be thrown out for ever.
        qos: session === 'kept' && mqtt === '3.1.1' ? 0 : 1,
      });
      const word =
        !stillOnline || failure === 'closed'
          ? 'the connection was closed'
          : (failure ?? 'dropped without a word');
      outcomes.set(word, (outcomes.get(word) ?? 0) + 1);
      if (!stillOnline) await stillAway(context, [device], 20_000);
    }
    if (signal.aborted) break;
  }
  await delay(500, undefined, { signal });
  await pool.everyone('flush', {});
  const leaks = (
    await Promise.all(
      pool.shares([...probers, other]).map(({ hand, devices }) => hand.call('leaks', { devices })),
    )
  ).flatMap(({ topics }) => topics);
  const forged = (await arrived(context)) - before - leaks.length;
  for (const { device, filter } of standing) {
    await pool.of(device).call('unsubscribe', { device, filter });
  }
  return judgeProbe({
    refused,
    granted,
    outcomes,
    leaks,
    forged: Math.max(0, forged),
    listening,
  });
}

export interface ProbeFindings {
  readonly refused: number;
  /** Filters that were granted, and how often. */
  readonly granted: ReadonlyMap<string, number>;
  /** What forged messages met, and how often. */
  readonly outcomes: ReadonlyMap<string, number>;
  /** Topics that reached a device that must not have them. */
  readonly leaks: readonly string[];
  /** Forged messages that reached an observer. */
  readonly forged: number;
  readonly listening: boolean;
}

/** Pure: what the drill proved. */
export function judgeProbe(findings: ProbeFindings): PhaseOutcome {
  const { refused, granted, outcomes, leaks, forged, listening } = findings;
  const grants = [...granted.values()].reduce((sum, count) => sum + count, 0);
  const forgeries = [...outcomes.values()].reduce((sum, count) => sum + count, 0);
  return {
    passed: leaks.length === 0 && forged === 0 && refused + grants > 0,
    evidence: [
      `${refused} of ${refused + grants} forbidden subscriptions were refused`,
      ...(grants > 0 ? [`granted were: ${[...granted.keys()].join('  ')}`] : []),
      leaks.length === 0
        ? 'nothing that others sent reached the probing devices'
        : `leaked to devices: ${[...new Set(leaks)].slice(0, 5).join('  ')}`,
      `${forgeries} forged messages: ${[...outcomes].map(([word, count]) => `${word} (${count})`).join(', ')}`,
      forged === 0
        ? `none of them arrived${listening ? '' : ' at a device (no observer listened)'}`
        : `${forged} of them arrived`,
    ],
    figures: { refused, granted: grants, leaks: leaks.length, forgeries, forged },
  };
}

/** Messages that arrived where they must not, in all. */
async function arrived({ pool, stats }: PhaseContext): Promise<number> {
  await pool.everyone('flush', {});
  return stats.totals.counter('misdelivered') + stats.totals.counter('commandsMisdelivered');
}
