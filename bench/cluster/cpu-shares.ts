/**
 * CPU time per message of each node: one broker without a cluster, one node with two partitions, and two nodes with one
 * partition each. Also the price of a relayed connection, and of handshakes.
 *
 * @module
 */
import { startBenchBroker } from '../brokers.ts';
import { writeBenchState } from '../bench-state.ts';
import type { LoadTarget } from '../load/load-client.ts';
import type { BenchNode, BenchNodes } from './bench-nodes.ts';
import { measureBursts, type BurstResult } from './burst-load.ts';
import { namesIn } from './client-names.ts';
import { measureHandshakes, type HandshakeResult } from './handshake-load.ts';
import type { Scenario, ScenarioPlan } from './scenario.ts';

export const cpuPartitions = 2;
export const burstDevices = 20;

/** A node or a broker that works alone. */
interface Place {
  readonly name: string;
  readonly pid: number;
  readonly target: LoadTarget;
}

interface Row extends BurstResult {
  readonly what: string;
  readonly qos: 0 | 1;
}

export const cpuShares: Scenario = async (plan) => {
  const rows: Row[] = [];
  const handshakes: Record<string, HandshakeResult> = {};
  for (let round = 0; round < plan.rounds; round++) {
    rows.push(...(await aloneRows(plan, handshakes)));
    rows.push(...(await oneNodeRows(plan, handshakes)));
    rows.push(...(await twoNodeRows(plan, handshakes)));
  }
  const missing = rows.filter((row) => row.missing > 0);
  return {
    violations: missing.map(
      ({ what, qos, missing: count }) => `${what}, QoS ${qos}: ${count} missing`,
    ),
    figures: { rows, handshakes },
  };
};

async function aloneRows(
  plan: ScenarioPlan,
  handshakes: Record<string, HandshakeResult>,
): Promise<readonly Row[]> {
  await writeBenchState(plan.certificates);
  const broker = await startBenchBroker('flotilla', plan.certificates);
  const place = { name: 'broker', pid: broker.pid, target: broker.target };
  try {
    const rows = await bursts(plan, 'broker without cluster', [0, place], [0, place], [place]);
    handshakes['broker without cluster'] = await handshakesOf(plan, [place]);
    return rows;
  } finally {
    await broker.stop();
  }
}

async function oneNodeRows(
  plan: ScenarioPlan,
  handshakes: Record<string, HandshakeResult>,
): Promise<readonly Row[]> {
  const nodes = await plan.start({ nodes: 1, partitions: cpuPartitions });
  try {
    const node = placeOf(await nodes.holderOf(0));
    const same = await bursts(plan, 'one node, one partition', [0, node], [0, node], [node]);
    const other = await bursts(plan, 'one node, two partitions', [0, node], [1, node], [node]);
    handshakes['one node'] = await handshakesOf(plan, [node]);
    return [...same, ...other];
  } finally {
    await nodes.close();
  }
}

async function twoNodeRows(
  plan: ScenarioPlan,
  handshakes: Record<string, HandshakeResult>,
): Promise<readonly Row[]> {
  const nodes = await plan.start({ nodes: 2, partitions: cpuPartitions });
  try {
    const { one, other } = await twoPlaces(nodes);
    const all = [one, other];
    const rows = [
      ...(await bursts(plan, 'two nodes, one partition', [0, one], [0, one], all)),
      ...(await bursts(plan, 'two nodes, two partitions', [0, one], [1, other], all)),
      ...(await bursts(plan, 'publishers are relayed', [0, other], [0, one], all)),
      ...(await bursts(plan, 'the subscriber is relayed', [0, one], [0, other], all)),
    ];
    handshakes['two nodes'] = await handshakesOf(plan, all);
    return rows;
  } finally {
    await nodes.close();
  }
}

/** The nodes of partition 0 and of partition 1. */
async function twoPlaces(
  nodes: BenchNodes,
): Promise<{ readonly one: Place; readonly other: Place }> {
  const [first, second] = [await nodes.holderOf(0), await nodes.holderOf(1)];
  if (first === second) throw new Error('one node holds both partitions');
  return {
    one: { ...placeOf(first), name: 'first' },
    other: { ...placeOf(second), name: 'second' },
  };
}

/** Measures QoS 0 and 1, between clients of two partitions that are connected to two places. */
async function bursts(
  plan: ScenarioPlan,
  what: string,
  [from, publishersAt]: readonly [partition: number, place: Place],
  [to, subscriberAt]: readonly [partition: number, place: Place],
  measured: readonly Place[],
): Promise<readonly Row[]> {
  const rows: Row[] = [];
  const [subscriber = ''] = namesIn(to, cpuPartitions, 'service', 1);
  for (const qos of [0, 1] as const) {
    const result = await measureBursts({
      ...{ clients: plan.clients, qos, subscriber },
      publishers: namesIn(from, cpuPartitions, 'device', burstDevices),
      publishersAt: publishersAt.target,
      subscriberAt: subscriberAt.target,
      pids: Object.fromEntries(measured.map(({ name, pid }) => [name, pid])),
    });
    rows.push({ what, qos, ...result });
    plan.report(`${what}, QoS ${qos}: ${JSON.stringify(result)}`);
  }
  return rows;
}

async function handshakesOf(
  plan: ScenarioPlan,
  places: readonly Place[],
): Promise<HandshakeResult> {
  const result = await measureHandshakes({
    clients: plan.clients,
    names: Array.from({ length: plan.devices }, (_, index) => `device-${index}`),
    targets: places.map(({ target }) => target),
    pids: places.map(({ pid }) => pid),
  });
  plan.report(`handshakes: ${JSON.stringify(result)}`);
  return result;
}

function placeOf({ name, pid, target }: BenchNode): Place {
  return { name, pid, target };
}
