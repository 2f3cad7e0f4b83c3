/**
 * `half-open`: connections that stop half way and hold on. Healthy devices must not notice, and one
 * that comes meanwhile must be let in.
 *
 * @module
 */
import { connect as connectTcp, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { brokerOf } from '../fleet/broker-choice.ts';
import { dial } from '../device/dial.ts';
import type { PhaseOf } from '../plan/plan-schema.ts';
import { seeded, shuffled } from '../plan/seed.ts';
import { bystanderEvidence, watchBystanders } from './bystanders.ts';
import { connectedOnes, epochNow, type PhaseContext, type PhaseOutcome } from './phase-context.ts';
import { stillAway } from './reconnect-phases.ts';

/** The first bytes of a ClientHello: a record of 512 bytes is promised and never comes. */
const truncatedHello = Buffer.from('1603010200010001fc0303', 'hex');
/** The head of a CONNECT that promises more. */
const truncatedConnect = Buffer.from('102a00044d5154540402003c', 'hex');
const kinds = ['after TCP', 'inside TLS', 'before CONNECT', 'inside CONNECT'] as const;
type Kind = (typeof kinds)[number];
const identitiesMax = 16;
const witnessLimitMs = 5000;

export async function runHalfOpen(
  spec: PhaseOf<'half-open'>,
  context: PhaseContext,
): Promise<PhaseOutcome> {
  const { pool, seed, name, brokers, signal } = context;
  const order = shuffled(connectedOnes(context, spec.groups), seeded(seed, 'half-open', name));
  const [witness] = order;
  if (witness === undefined)
    return { passed: false, evidence: ['no device was connected'], figures: {} };
  const bystanders = await watchBystanders(context, [witness]);
  const lenders = order.slice(1, 1 + identitiesMax);
  const identities = (
    await Promise.all(
      pool.shares(lenders).map(({ hand, devices }) =>
        // Agents keep their keys to themselves.
        hand.call('credentials', { devices }).catch(() => []),
      ),
    )
  ).flat();
  let done = false;
  const sockets: Socket[] = [];
  const closedByBroker = new Map<Kind, number>();
  const opened = new Map<Kind, number>();
  for (let index = 0; index < spec.connections; index++) {
    const kind = kinds[index % kinds.length] ?? 'after TCP';
    const identity = identities[index % Math.max(1, identities.length)];
    const broker = brokerOf(brokers, Math.floor(index / kinds.length));
    const socket =
      kind === 'after TCP' || kind === 'inside TLS' || identity === undefined
        ? connectTcp(broker.port, broker.host)
        : dial({ ...broker, identity }).socket;
    if (kind === 'inside TLS') socket.once('connect', () => socket.write(truncatedHello));
    if (kind === 'inside CONNECT')
      socket.once('secureConnect', () => socket.write(truncatedConnect));
    socket.on('error', () => undefined);
    socket.resume();
    socket.once('close', () => {
      if (!done) closedByBroker.set(kind, (closedByBroker.get(kind) ?? 0) + 1);
    });
    opened.set(kind, (opened.get(kind) ?? 0) + 1);
    sockets.push(socket);
  }
  try {
    await delay(Math.min(500, spec.duration / 2), undefined, { signal });
    const leftMs = epochNow();
    await pool.of(witness).call('lose', { devices: [witness], atMs: [leftMs], how: 'clean' });
    await delay(100, undefined, { signal });
    const away = await stillAway(context, [witness], witnessLimitMs);
    const witnessMs = epochNow() - leftMs;
    await delay(Math.max(0, spec.duration - witnessMs - 500), undefined, { signal });
    const drops = await bystanders.drops();
    return {
      passed: away === 0 && drops === 0,
      evidence: [
        `${spec.connections} connections stopped half way: ${[...opened].map(([kind, count]) => `${count} ${kind}`).join(', ')}`,
        `the broker ended ${[...closedByBroker.values()].reduce((sum, count) => sum + count, 0)} of them within ${spec.duration / 1000} s` +
          (closedByBroker.size > 0
            ? ` (${[...closedByBroker].map(([kind, count]) => `${count} ${kind}`).join(', ')})`
            : ''),
        away === 0
          ? `a device that came meanwhile was in after ${witnessMs.toFixed(0)} ms, its own waiting included`
          : `a device that came meanwhile was not in after ${witnessLimitMs} ms`,
        bystanderEvidence(drops),
      ],
      figures: {
        connections: spec.connections,
        closedByBroker: [...closedByBroker.values()].reduce((sum, count) => sum + count, 0),
        witnessMs: Math.round(witnessMs),
        witnessAway: away,
        bystanderDrops: drops,
      },
    };
  } finally {
    done = true;
    for (const socket of sockets) socket.destroy();
  }
}
