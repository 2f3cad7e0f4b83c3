/**
 * Nodes that decide with what they have seen, some of it late, in a cluster where nodes start, drain and are killed.
 *
 * @module
 */
import test from 'ava';
import fc from 'fast-check';
import {
  decideAssignment,
  type AssignmentView,
  type PartitionView,
} from '../../../../broker/cluster/assignment-decision.ts';
import { AssignmentWatch } from '../../../../broker/cluster/assignment-watch.ts';
import type { ClusterLook, PartitionRow } from '../../../../broker/cluster/cluster-rows.ts';

const pollMs = 250;
const times = {
  ...{ silentMaxMs: 5000, awayMaxMs: 1000, anyoneAfterMs: 1000, stuckAfterMs: 30_000 },
  ...{ settledAfterMs: 10_000, hungAfterMs: undefined, patienceMs: 3000, serverPatienceMs: 3000 },
};

/** What all nodes share: the rows and locks of the database. */
class World {
  nowMs = 0;
  readonly nodes = new Map<string, SimulatedNode>();
  readonly rows: PartitionRow[];
  /** The node that has the lock of each partition. */
  readonly locks: (string | undefined)[];
  #looks: ClusterLook[] = [];
  gives = 0;
  refused = 0;

  constructor(partitions: number) {
    this.rows = Array.from({ length: partitions }, () => ({
      ...{ node: null, run: null, address: null, term: null, storeTerm: null },
      ...{ claimRun: null, claimMs: null, pid: null, sign: null },
    }));
    this.locks = this.rows.map(() => undefined);
  }

  change(partition: number, change: Partial<PartitionRow>): void {
    const row = this.rows[partition];
    if (row !== undefined) this.rows[partition] = { ...row, ...change };
  }

  /** @param lateness how many looks ago */
  look(lateness: number): ClusterLook {
    return this.#looks.at(-1 - lateness) ?? { nodes: [], partitions: this.rows, upMs: 1e9 };
  }

  step(): void {
    this.nowMs += pollMs;
    for (const node of this.nodes.values()) node.beat();
    this.#looks = [
      ...this.#looks.slice(-4),
      {
        upMs: 1e9,
        nodes: [...this.nodes.values()].map(({ row }) => row),
        partitions: this.rows.map((row, index) => ({
          ...row,
          pid: this.locks[index] === undefined ? null : 1,
        })),
      },
    ];
    for (const node of this.nodes.values()) node.step();
  }

  get live(): readonly SimulatedNode[] {
    return [...this.nodes.values()].filter(
      ({ isLive, isDraining, isDrainAsked }) => isLive && !isDraining && !isDrainAsked,
    );
  }

  get loads(): readonly number[] {
    return this.live.map(({ held }) => held.size);
  }
}

class SimulatedNode {
  readonly held = new Set<number>();
  readonly #taking = new Map<number, number>();
  readonly #deferred = new Map<number, number>();
  readonly #watch: AssignmentWatch;
  readonly #world: World;
  readonly #name: string;
  /** How late its looks are. */
  readonly #lateness: number;
  /** How many steps it needs to take a partition. */
  readonly #slowness: number;
  isLive = true;
  isDraining = false;
  isDrainAsked = false;
  #seen = 0;
  #killedAtMs = 0;

  constructor(world: World, name: string, lateness: number, slowness: number) {
    this.#world = world;
    this.#name = name;
    this.#lateness = lateness;
    this.#slowness = slowness;
    this.#watch = new AssignmentWatch({ node: name, run: name }, times);
  }

  get row(): ClusterLook['nodes'][number] {
    const silentMs = this.isLive ? 0 : this.#world.nowMs - this.#killedAtMs;
    return {
      ...{ node: this.#name, run: this.#name, address: 'a:1', version: '1' },
      ...{ draining: this.isDraining, isDrainAsked: this.isDrainAsked, seenAt: `${this.#seen}` },
      ...{ failing: false, silentMs, isConnected: this.isLive },
    };
  }

  beat(): void {
    if (this.isLive) this.#seen++;
  }

  kill(): void {
    this.isLive = false;
    this.#killedAtMs = this.#world.nowMs;
    this.held.clear();
    this.#taking.clear();
    for (const [index, holder] of this.#world.locks.entries()) {
      if (holder === this.#name) this.#world.locks[index] = undefined;
    }
  }

  step(): void {
    if (!this.isLive) return;
    const { nowMs, locks } = this.#world;
    for (const [index, readyAtMs] of this.#taking) {
      if (readyAtMs <= nowMs) this.#finish(index);
    }
    const own = {
      ...{ held: this.held, taking: new Set(this.#taking.keys()), giving: new Set<number>() },
      deferred: new Set(
        [...this.#deferred].flatMap(([index, untilMs]) => (untilMs > nowMs ? [index] : [])),
      ),
      isDraining: this.isDraining,
    };
    this.#watch.note(this.#world.look(this.#lateness), nowMs, own);
    if (this.isDraining) {
      for (const index of this.held) this.#give(index);
      return;
    }
    const { take, give } = decideAssignment(this.#watch.view(own));
    if (give !== undefined) {
      this.#world.gives++;
      this.#give(give);
    }
    for (const index of take.slice(0, 4 - this.#taking.size)) {
      const claimer = this.#world.rows[index]?.claimRun ?? null;
      const counts = claimer !== null && this.#world.nodes.get(claimer)?.isLive === true;
      if (counts && claimer !== this.#name) continue;
      this.#world.change(index, { claimRun: this.#name, claimMs: 0 });
      if (locks[index] === undefined) {
        locks[index] = this.#name;
        this.#taking.set(index, nowMs + this.#slowness * pollMs);
      } else {
        this.#world.refused++;
        this.#world.change(index, { claimRun: null });
        this.#deferred.set(index, nowMs + 5000);
      }
    }
  }

  #finish(index: number): void {
    this.#taking.delete(index);
    const term = (this.#world.rows[index]?.storeTerm ?? 0) + 1;
    const holder = { node: this.#name, run: this.#name, address: 'a:1' };
    this.#world.change(index, { ...holder, term, storeTerm: term, claimRun: null });
    this.held.add(index);
  }

  #give(index: number): void {
    this.held.delete(index);
    this.#world.locks[index] = undefined;
    this.#world.change(index, { node: null });
    this.#deferred.set(index, this.#world.nowMs + 5000);
  }
}

const event = fc.record({
  kind: fc.constantFrom('start', 'start', 'kill', 'drain', 'ask', 'resume'),
  node: fc.nat(5),
  lateness: fc.nat(2),
  slowness: fc.nat(6),
  thenSteps: fc.integer({ min: 1, max: 80 }),
});

test('after any events, each partition is held by one node, the numbers differ by at most one, and nothing moves any more', (t) => {
  const plan = fc.property(
    fc.integer({ min: 1, max: 24 }),
    fc.array(event, { minLength: 1, maxLength: 12 }),
    (partitions, events) => {
      const world = new World(partitions);
      for (const { kind, node, lateness, slowness, thenSteps } of events) {
        const name = `node-${node}`;
        const found = world.nodes.get(name);
        if (kind === 'start' && found === undefined) {
          world.nodes.set(name, new SimulatedNode(world, name, lateness, slowness));
        } else if (kind === 'kill') found?.kill();
        else if (kind === 'drain' && found !== undefined) found.isDraining = true;
        else if (found !== undefined) found.isDrainAsked = kind === 'ask';
        for (let step = 0; step < thenSteps; step++) world.step();
      }
      world.nodes.set('last', new SimulatedNode(world, 'last', 1, 2));
      for (let step = 0; step < 600; step++) world.step();
      const { gives, locks, loads, live } = world;
      const holders = locks.filter(
        (name, index) => name !== undefined && world.nodes.get(name)?.held.has(index) === true,
      );
      const total = loads.reduce((sum, load) => sum + load, 0);
      if (holders.length !== partitions || total !== partitions) {
        throw new Error(`not all are held: ${locks.join(' ')}`);
      }
      if (Math.max(...loads) - Math.min(...loads) > 1) {
        throw new Error(`not balanced: ${live.length} nodes, ${loads.join(' ')}`);
      }
      for (let step = 0; step < 200; step++) world.step();
      if (world.gives !== gives) throw new Error('partitions move for no reason');
    },
  );
  t.notThrows(() => fc.assert(plan, { numRuns: 150, includeErrorInReport: true }));
});

test('a killed node is replaced within two looks, and its partitions are divided at once', (t) => {
  const world = new World(12);
  for (const name of ['a', 'b', 'c']) world.nodes.set(name, new SimulatedNode(world, name, 0, 0));
  for (let step = 0; step < 20; step++) world.step();
  t.deepEqual(world.loads, [4, 4, 4]);
  world.nodes.get('b')?.kill();
  for (let step = 0; step < 3; step++) world.step();
  t.deepEqual(world.loads, [6, 6]);
  t.is(world.gives, 0);
  t.is(world.refused, 0);
});

test('a node that an operator drains gives one partition after the other, and gets its share again later', (t) => {
  const world = new World(9);
  for (const name of ['a', 'b', 'c']) world.nodes.set(name, new SimulatedNode(world, name, 0, 2));
  for (let step = 0; step < 60; step++) world.step();
  t.deepEqual(world.loads, [3, 3, 3]);
  const drained = world.nodes.get('b');
  if (drained === undefined) throw new Error('no node');
  drained.isDrainAsked = true;
  let free = 0;
  for (let step = 0; step < 40; step++) {
    world.step();
    free = Math.max(free, world.locks.filter((name) => name === undefined).length);
  }
  t.is(drained.held.size, 0);
  t.deepEqual([...world.loads].sort(), [4, 5]);
  t.is(free, 1);
  drained.isDrainAsked = false;
  for (let step = 0; step < 100; step++) world.step();
  t.deepEqual(world.loads, [3, 3, 3]);
});

test('nodes that an operator drains hold partitions while there is no other node', (t) => {
  const world = new World(4);
  const a = new SimulatedNode(world, 'a', 0, 0);
  const b = new SimulatedNode(world, 'b', 0, 0);
  world.nodes.set('a', a);
  world.nodes.set('b', b);
  for (let step = 0; step < 20; step++) world.step();
  a.isDrainAsked = true;
  for (let step = 0; step < 20; step++) world.step();
  t.is(b.held.size, 4);
  b.kill();
  for (let step = 0; step < 40; step++) world.step();
  t.is(a.held.size, 4);
  const c = new SimulatedNode(world, 'c', 0, 0);
  world.nodes.set('c', c);
  for (let step = 0; step < 60; step++) world.step();
  t.is(c.held.size, 4);
});

test('a new node gets its share after ten seconds, one partition after the other', (t) => {
  const world = new World(9);
  for (const name of ['a', 'b']) world.nodes.set(name, new SimulatedNode(world, name, 0, 2));
  for (let step = 0; step < 60; step++) world.step();
  t.deepEqual([...world.loads].sort(), [4, 5]);
  world.nodes.set('c', new SimulatedNode(world, 'c', 0, 2));
  for (let step = 0; step < 36; step++) world.step();
  t.is(world.gives, 0);
  let free = 0;
  for (let step = 0; step < 60; step++) {
    world.step();
    free = Math.max(free, world.locks.filter((name) => name === undefined).length);
  }
  t.deepEqual(world.loads, [3, 3, 3]);
  t.is(world.gives, 3);
  t.is(free, 1);
});

const served: PartitionView = {
  ...{ node: 'a', isMoving: false, free: undefined, isDeferred: false },
};
const free: PartitionView = { node: undefined, isMoving: true, free: 'planned', isDeferred: false };

function viewOf(own: string, partitions: readonly PartitionView[]): AssignmentView {
  const takers = ['a', 'b'].map((node) => ({ node, isSettled: true, isFailing: false }));
  return { own, takers, partitions };
}

test('a free partition goes to the node with the fewest, and after a time to any node that has not just failed', (t) => {
  const planned = [served, served, free];
  t.deepEqual(decideAssignment(viewOf('a', planned)), { take: [], give: undefined });
  t.deepEqual(decideAssignment(viewOf('b', planned)), { take: [2], give: undefined });
  const late: PartitionView = { ...free, free: 'anyone' };
  t.deepEqual(decideAssignment(viewOf('a', [served, served, late])).take, [2]);
  const deferred: PartitionView = { ...late, isDeferred: true };
  t.deepEqual(decideAssignment(viewOf('a', [served, served, deferred])).take, []);
});

test('nothing is given while a partition is free or being taken, and a node that may not take takes nothing', (t) => {
  t.deepEqual(decideAssignment(viewOf('a', [served, served])), { take: [], give: 1 });
  t.is(decideAssignment(viewOf('a', [served, served, free])).give, undefined);
  t.is(decideAssignment(viewOf('b', [served, served])).give, undefined);
  t.is(decideAssignment(viewOf('a', [served])).give, undefined);
  t.deepEqual(decideAssignment(viewOf('other', [served, free])), { take: [], give: undefined });
  const own: PartitionView = { ...served, node: 'other' };
  t.deepEqual(decideAssignment(viewOf('other', [own, served])), { take: [], give: 0 });
  const alone = { own: 'other', takers: [], partitions: [own] };
  t.deepEqual(decideAssignment(alone), { take: [], give: undefined });
  const failing = { node: 'a', isSettled: false, isFailing: true };
  t.is(decideAssignment({ ...alone, takers: [failing] }).give, undefined);
});
