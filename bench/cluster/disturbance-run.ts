/**
 * Disturbs the nodes of a cluster under load, and checks every message.
 *
 * - `kill`: `kill -9` of a random node, which is started again.
 * - `freeze`: stops the process of a random node for 1 to 15 s. One whose partitions were taken meanwhile must end.
 * - `partition`: cuts the network between two nodes in one or both directions, or between a node and its database, for 1 to
 *   15 s. One whose partitions were taken meanwhile must end.
 * - `restart`: SIGTERM of each node in turn, which is started again.
 *
 * @module
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { BenchNode, BenchNodes } from './bench-nodes.ts';
import { waitFor } from './bounded-wait.ts';
import { FleetLoad, type FleetOutcome } from './fleet-load.ts';
import { oneOf, type Scenario, type ScenarioPlan, type ScenarioResult } from './scenario.ts';
import { spreadOf } from './spread.ts';

const lifeMinMs = 500;
const lifeMaxMs = 3000;
const faultMinMs = 1000;
const faultMaxMs = 15_000;
/** A node that must end does it in this time after it continues. */
const endMaxMs = 60_000;
const shownMax = 20;

/** Returns figures of its own. */
type Disturb = (nodes: BenchNodes, plan: ScenarioPlan) => Promise<Record<string, number>>;

const kill: Disturb = async (nodes, { random }) => {
  const node = oneOf(nodes.running, random);
  await node.kill();
  // The others take over while it is away, or it comes back at once.
  await pause(random() * 4000);
  await node.start();
  return { node: numberOf(node) };
};

const freeze: Disturb = async (nodes, { random }) => {
  const node = oneOf(nodes.running, random);
  return withFault(nodes, node, random, { begin: () => node.freeze(), end: () => node.thaw() });
};

/** Half of the faults are between two nodes, the others between a node and its database. */
const partition: Disturb = async (nodes, { random }) => {
  const { network } = nodes;
  const numbers = nodes.all.keys().toArray();
  const from = oneOf(numbers, random);
  const others = numbers.filter((number) => number !== from);
  const to = oneOf(others, random);
  const end = (): void => network.heal();
  const kind = Math.floor(random() * 4);
  if (kind >= 2) {
    const node = nodes.all[from]!;
    const begin = (): void => {
      node.mayEnd();
      network.portsOf(from).database.path.blackHole();
    };
    return withFault(nodes, node, random, { begin, end });
  }
  if (kind === 0) network.cutOneWay(from, to);
  else network.cut(from, to);
  const cutMs = faultMsOf(random);
  await pause(cutMs);
  end();
  return { from: from + 1, to: to + 1, bothWays: kind, cutMs };
};

function faultMsOf(random: () => number): number {
  return faultMinMs + random() * (faultMaxMs - faultMinMs);
}

/** A fault during which a node may lose its partitions. If it does, it must end. */
async function withFault(
  nodes: BenchNodes,
  node: BenchNode,
  random: () => number,
  { begin, end }: { readonly begin: () => void; readonly end: () => void },
): Promise<Record<string, number>> {
  const faultMs = faultMsOf(random);
  let ended: { readonly atMs: number; readonly code: number | undefined } | undefined;
  const held = await node.held();
  const { exited } = node;
  void exited.then((code) => (ended = { atMs: performance.now(), code }));
  begin();
  await pause(faultMs);
  const taken = await Promise.all(held.map((partition) => isHeldByOther(nodes, node, partition)));
  end();
  const endAtMs = performance.now();
  const figures = { node: numberOf(node), faultMs, taken: taken.filter(Boolean).length };
  if (!taken.includes(true)) {
    // A takeover may have been on its way.
    await pause(3000);
    if (ended === undefined) {
      node.mustRun();
      return figures;
    }
  }
  await waitFor(
    `the end of ${node.name}, which lost its partitions`,
    () => ended !== undefined,
    endMaxMs,
  );
  const { atMs, code } = ended ?? { atMs: 0, code: 0 };
  if (code !== 1) nodes.faults.push(`${node.name} was fenced and ended with ${code ?? 'a signal'}`);
  await node.start();
  return { ...figures, endedMs: atMs - endAtMs };
}

const restart: Disturb = async (nodes) => {
  let stopMaxMs = 0;
  for (const node of nodes.all) {
    const startMs = performance.now();
    const code = await node.stop();
    stopMaxMs = Math.max(stopMaxMs, performance.now() - startMs);
    if (code !== 0) nodes.faults.push(`SIGTERM ended ${node.name} with ${code ?? 'a signal'}`);
    await node.start();
    await nodes.settled();
  }
  return { stopMaxMs };
};

/** Runs a load, and disturbs the nodes in each round. */
function disturbed(disturb: Disturb, hasFaults = false): Scenario {
  return async (plan) => {
    const nodes = await plan.start({ hasFaults });
    const { clients, devices, ratePerSecond, random } = plan;
    const targets = (): ReturnType<typeof targetsOf> => targetsOf(nodes);
    const load = await FleetLoad.start({ clients, devices, ratePerSecond, targets, random });
    try {
      const rounds = await runRounds(disturb, nodes, load, plan);
      return resultOf(rounds, await load.settle(), nodes);
    } finally {
      load.close();
      await nodes.close();
    }
  };
}

export const disturbances: Readonly<Record<string, Scenario>> = {
  kill: disturbed(kill),
  freeze: disturbed(freeze),
  partition: disturbed(partition, true),
  restart: disturbed(restart),
};

interface Rounds {
  readonly waitsMs: number[];
  /** The longest time of each round until an acknowledgement. */
  readonly stallsMs: number[];
  readonly reconnectsMs: number[];
  readonly settledMs: number[];
}

async function runRounds(
  disturb: Disturb,
  nodes: BenchNodes,
  load: FleetLoad,
  plan: ScenarioPlan,
): Promise<Rounds> {
  const all: Rounds = { waitsMs: [], stallsMs: [], reconnectsMs: [], settledMs: [] };
  load.isOn = true;
  for (let round = 1; round <= plan.rounds; round++) {
    await pause(lifeMinMs + plan.random() * (lifeMaxMs - lifeMinMs));
    load.ledger.takeWaitsMs();
    load.roaming.takeReconnectsMs();
    const startMs = performance.now();
    const found = await disturb(nodes, plan);
    await nodes.settled();
    await waitFor('all clients', () => load.roaming.areConnected);
    // In some rounds, partitions move while a node is disturbed.
    if (plan.random() < 0.5) await nodes.balanced();
    const settledMs = performance.now() - startMs;
    const waitsMs = load.ledger.takeWaitsMs();
    const reconnectsMs = load.roaming.takeReconnectsMs();
    const stallMs = waitsMs.reduce((longest, one) => Math.max(longest, one), 0);
    for (const one of waitsMs) all.waitsMs.push(one);
    for (const one of reconnectsMs) all.reconnectsMs.push(one);
    all.stallsMs.push(stallMs);
    all.settledMs.push(settledMs);
    const line = { ...found, settledMs, stallMs, reconnectsMs: spreadOf(reconnectsMs) };
    plan.report(
      `${round} ${JSON.stringify(line, rounded)}; ${load.ledger.acknowledged} acknowledged`,
    );
  }
  return all;
}

function resultOf(rounds: Rounds, outcome: FleetOutcome, nodes: BenchNodes): ScenarioResult {
  const { lost, twice, outOfOrder, unknown, unexpected, sessionsLost } = outcome;
  const kinds = { lost, twice, 'out of order': outOfOrder, unknown, unexpected };
  const violations = Object.entries(kinds).flatMap(([kind, texts]) => {
    const shown = texts.slice(0, shownMax).map((text) => `${kind}: ${text}`);
    return texts.length > shownMax ? [...shown, `${kind}: ${texts.length} in all`] : shown;
  });
  if (sessionsLost > 0) violations.push(`${sessionsLost} sessions were lost`);
  return {
    violations: [...violations, ...nodes.faults],
    figures: {
      ...outcome.sums,
      lateAcknowledgements: outcome.lateAcknowledgements,
      acknowledgementMs: spreadOf(rounds.waitsMs),
      stallMs: spreadOf(rounds.stallsMs),
      reconnectMs: spreadOf(rounds.reconnectsMs),
      settledMs: spreadOf(rounds.settledMs),
    },
  };
}

function targetsOf(nodes: BenchNodes): readonly BenchNode['target'][] {
  return nodes.running.map(({ target }) => target);
}

async function isHeldByOther(
  nodes: BenchNodes,
  frozen: BenchNode,
  partition: number,
): Promise<boolean> {
  const others = nodes.running.filter((node) => node !== frozen);
  const held = await Promise.all(others.map((node) => node.held()));
  return held.flat().includes(partition);
}

function numberOf({ name }: BenchNode): number {
  return Number(name.slice(name.lastIndexOf('-') + 1));
}

function rounded(_key: string, value: unknown): unknown {
  return typeof value === 'number' ? Math.round(value) : value;
}
