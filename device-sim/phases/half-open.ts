/**
 * `half-open`: connections that stop halfway and stay open. Healthy devices must not be disturbed, and
 * a device that reconnects meanwhile must get in.
 *
 * @module
 */
import { connect as connectTcp, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { dial, type DialIdentity } from '../device/dial.ts';
import { brokerOf } from '../fleet/broker-choice.ts';
import type { PhaseOf } from '../plan/phase-schema.ts';
import { seeded, shuffled } from '../plan/seed.ts';
import { bystanderEvidence, watchBystanders } from './bystanders.ts';
import { connectedDevices, type PhaseContext, type PhaseOutcome } from './phase-context.ts';
import { waitForOnline } from './reconnect-phases.ts';

/** The first bytes of a ClientHello that announces 512 bytes, which never follow. */
const truncatedHello = Buffer.from('1603010200010001fc0303', 'hex');
/** The start of a CONNECT that announces more bytes. */
const truncatedConnect = Buffer.from('102a00044d5154540402003c', 'hex');
const kinds = ['after TCP', 'inside TLS', 'before CONNECT', 'inside CONNECT'] as const;
type Kind = (typeof kinds)[number];
const identitiesMax = 16;
const witnessLimitMs = 5000;

export async function runHalfOpen(
  spec: PhaseOf<'half-open'>,
  context: PhaseContext,
): Promise<PhaseOutcome> {
  const { pool, seed, name, signal } = context;
  const order = shuffled(connectedDevices(context, spec.groups), seeded(seed, 'half-open', name));
  const [witness] = order;
  if (witness === undefined)
    return { passed: false, evidence: ['no device was connected'], figures: {} };
  const bystanders = await watchBystanders(context, [witness]);
  const connections = new HalfOpenConnections();
  const identities = await identitiesOf(order.slice(1, 1 + identitiesMax), context);
  connections.open(spec.connections, identities, context);
  try {
    await delay(Math.min(500, spec.duration / 2), undefined, { signal });
    const leftMs = context.clock.now();
    await pool
      .workerOf(witness)
      .call('dropConnections', { devices: [witness], atMs: [leftMs], how: 'clean' });
    await delay(100, undefined, { signal });
    const away = await waitForOnline(context, [witness], witnessLimitMs);
    const witnessMs = context.clock.now() - leftMs;
    await delay(Math.max(0, spec.duration - witnessMs - 500), undefined, { signal });
    const drops = await bystanders.drops();
    return {
      passed: away === 0 && drops === 0,
      evidence: [
        ...connections.evidence(spec.duration),
        away === 0
          ? `a device that reconnected meanwhile was connected after ${witnessMs.toFixed(0)} ms, its own delay included`
          : `a device that reconnected meanwhile was not connected after ${witnessLimitMs} ms`,
        bystanderEvidence(drops),
      ],
      figures: {
        connections: spec.connections,
        closedByBroker: sumOf(connections.closedByBroker),
        witnessMs: Math.round(witnessMs),
        witnessAway: away,
        bystanderDrops: drops,
      },
    };
  } finally {
    connections.destroy();
  }
}

class HalfOpenConnections {
  readonly closedByBroker = new Map<Kind, number>();
  readonly #opened = new Map<Kind, number>();
  readonly #sockets: Socket[] = [];
  #done = false;

  open(count: number, identities: readonly DialIdentity[], { brokers }: PhaseContext): void {
    for (let index = 0; index < count; index++) {
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
        if (!this.#done) increment(this.closedByBroker, kind);
      });
      increment(this.#opened, kind);
      this.#sockets.push(socket);
    }
  }

  evidence(durationMs: number): string[] {
    const closed = sumOf(this.closedByBroker);
    const details = closed === 0 ? '' : ` (${listed(this.closedByBroker)})`;
    return [
      `${sumOf(this.#opened)} connections stopped halfway: ${listed(this.#opened)}`,
      `the broker closed ${closed} of them within ${durationMs / 1000} s${details}`,
    ];
  }

  destroy(): void {
    this.#done = true;
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** Certificates of these devices; none from agents, which never reveal private keys. */
async function identitiesOf(
  devices: readonly number[],
  { pool }: PhaseContext,
): Promise<DialIdentity[]> {
  const parts = await Promise.all(
    pool
      .shares(devices)
      .map(({ worker, devices: share }) =>
        worker.call('credentials', { devices: share }).catch(() => []),
      ),
  );
  return parts.flat();
}

function increment(counts: Map<Kind, number>, kind: Kind): void {
  counts.set(kind, (counts.get(kind) ?? 0) + 1);
}

function sumOf(counts: ReadonlyMap<Kind, number>): number {
  return [...counts.values()].reduce((sum, count) => sum + count, 0);
}

function listed(counts: ReadonlyMap<Kind, number>): string {
  return [...counts].map(([kind, count]) => `${count} ${kind}`).join(', ');
}
