/**
 * Which node holds which partition, with a real database. The partitions of these nodes have terms, and no sessions.
 *
 * @module
 */
import test, { type ExecutionContext } from 'ava';
import { partitionName } from '../../core/partition.ts';
import {
  PartitionAssignment,
  type AssignmentTimes,
} from '../../broker/cluster/partition-assignment.ts';
import { journalTerm } from '../../broker/journal/journal-tables.ts';
import { systemClock } from '../../core/clock.ts';
import { parseDatabaseUrl } from '../../core/config/database-url.ts';
import { DatabaseTerm } from '../../core/database/database-term.ts';
import type { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { createLog } from '../../core/log.ts';
import {
  postgresServer,
  skipsWithoutServer,
  type PostgresServer,
} from '../support/postgres-server.ts';
import { socketSwitch, type SocketSwitch } from '../support/socket-switch.ts';
import { until } from '../support/until.ts';

const limitMs = 240_000;
const log = createLog({ level: process.env['FLOTILLA_TEST_LOG'] === 'debug' ? 'debug' : 'silent' });

let server: PostgresServer | undefined;
test.before(async (t) => {
  t.timeout(limitMs);
  server = await postgresServer();
});
test.after.always(() => server?.close());

interface NodeOptions {
  readonly partitions?: number;
  readonly times?: Partial<AssignmentTimes>;
}

/** A node that holds the terms of its partitions. */
class TestNode {
  readonly assignment: PartitionAssignment;
  readonly terms = new Map<number, DatabaseTerm>();
  readonly proxy: SocketSwitch;
  readonly name: string;
  taken = 0;
  given = 0;

  constructor(name: string, url: string, proxy: SocketSwitch, options: NodeOptions) {
    const { partitions: count = 6, times } = options;
    this.name = name;
    this.proxy = proxy;
    const address = parseDatabaseUrl(
      url.replace(/host=.*/, `host=${encodeURIComponent(proxy.folder)}`),
    );
    const access = { address, password: undefined, ca: undefined };
    const deps = { access, clock: systemClock, log: log.child({ node: name }) };
    this.assignment = new PartitionAssignment({
      ...deps,
      ...{ node: name, address: () => `${name}.example:7000`, version: '1.0.0', partitions: count },
      times: { settledAfterMs: 500, ...times },
      take: async (index) => {
        const tables = journalTerm({ name: partitionName(index), index, count });
        const term = await DatabaseTerm.begin({
          ...{ ...deps, tables, instance: name, heartbeatMs: 200 },
        });
        if (term === undefined) return undefined;
        this.taken++;
        this.terms.set(index, term);
        void term.lost.then(() => {
          this.terms.delete(index);
          this.assignment.lost(index);
          return term.close();
        });
        return { term: term.term };
      },
      give: async (index) => {
        this.given++;
        await this.terms.get(index)?.close();
        this.terms.delete(index);
      },
    });
  }

  get held(): readonly number[] {
    return [...this.assignment.held].sort((one, other) => one - other);
  }

  /** Ends like a process that is killed. */
  kill(): void {
    this.proxy.end();
  }

  async close(): Promise<void> {
    await this.assignment.close();
    await Promise.all([...this.terms.values()].map((term) => term.close()));
  }
}

/** @param start false: the test starts it */
async function testNode(
  t: ExecutionContext,
  database: PostgresServer,
  url: string,
  name: string,
  { start = true, ...options }: NodeOptions & { readonly start?: boolean } = {},
): Promise<TestNode> {
  const node = new TestNode(name, url, await socketSwitch(t, database.folder), options);
  t.teardown(() => node.close());
  if (start) await node.assignment.start();
  return node;
}

const sum = (numbers: readonly number[]): number => numbers.reduce((all, one) => all + one, 0);

/** Waits until these nodes hold all partitions, about as many each, and all of them know who holds what. */
async function balanced(nodes: readonly TestNode[], partitions = 6): Promise<void> {
  await until(`${nodes.length} nodes hold all partitions`, () => {
    const counts = nodes.map(({ held }) => held.length);
    if (sum(counts) !== partitions || Math.max(...counts) - Math.min(...counts) > 1) return false;
    return nodes.every(
      ({ assignment, held }) =>
        nodes.every((other) =>
          other.held.every((index) => {
            const holder = assignment.holderOf(index);
            return holder?.node === other.name && holder.term === other.terms.get(index)?.term;
          }),
        ) && held.length > 0,
    );
  });
}

test('partitions are divided among nodes that start one after the other, and those of a killed node among the rest', async (t) => {
  const database = skipsWithoutServer(t, server);
  if (database === undefined) return;
  t.timeout(limitMs);
  const url = await database.database();
  const a = await testNode(t, database, url, 'a');
  await balanced([a]);
  const b = await testNode(t, database, url, 'b');
  await balanced([a, b]);
  const c = await testNode(t, database, url, 'c');
  await balanced([a, b, c]);
  t.true(a.given >= 4);
  const held = b.held[0] ?? 0;
  t.deepEqual(a.assignment.holderOf(held), {
    ...{ node: 'b', address: 'b.example:7000', term: b.terms.get(held)?.term },
  });
  t.deepEqual(
    c.assignment.nodes,
    ['a', 'b', 'c'].map((name) => ({
      ...{ name, address: `${name}.example:7000`, version: '1.0.0', draining: false, alive: true },
    })),
  );

  let changes = 0;
  a.assignment.onChange(() => changes++);
  const startMs = performance.now();
  b.kill();
  await balanced([a, c]);
  t.log(
    `the partitions of a killed node were taken in ${Math.round(performance.now() - startMs)} ms`,
  );
  await until('the killed node is not alive', () =>
    a.assignment.nodes.some(({ name, alive }) => name === 'b' && !alive),
  );
  t.true(changes > 0);

  // It was killed, so the name is free.
  const again = await testNode(t, database, url, 'b');
  await balanced([a, again, c]);
});

test('a node that drains gives all partitions, and takes none again', async (t) => {
  const database = skipsWithoutServer(t, server);
  if (database === undefined) return;
  t.timeout(limitMs);
  const url = await database.database();
  const a = await testNode(t, database, url, 'a');
  const b = await testNode(t, database, url, 'b');
  await balanced([a, b]);
  await a.assignment.drain();
  t.deepEqual(a.held, []);
  t.is(a.terms.size, 0);
  await balanced([b]);
  await until('the other node knows it', () =>
    b.assignment.nodes.some(({ name, draining, alive }) => name === 'a' && draining && alive),
  );
  const { taken } = a;
  await b.assignment.close();
  await until('the node that drains sees that nobody holds anything', () =>
    [0, 1, 2, 3, 4, 5].every((index) => a.assignment.holderOf(index) === undefined),
  );
  await until('the other node is not there any more', () => a.assignment.nodes.length === 1);
  t.is(a.taken, taken);
  await a.assignment.close();
  const nodes = await database.sql(url, 'SELECT * FROM flotilla.cluster_node');
  const held = await database.sql(
    url,
    'SELECT * FROM flotilla.cluster_partition WHERE node IS NOT NULL OR claim_run IS NOT NULL',
  );
  t.deepEqual([...nodes, ...held], []);
});

test('after a restart of the database, each node holds what it held before, in the same term', async (t) => {
  const database = skipsWithoutServer(t, await postgresServer());
  if (database === undefined) return;
  t.timeout(limitMs);
  t.teardown(() => database.close());
  const url = await database.database();
  // A busy machine may need longer than usual until all are connected again.
  const options = { times: { patienceMs: 60_000 } };
  const nodes = [
    await testNode(t, database, url, 'a', options),
    await testNode(t, database, url, 'b', options),
    await testNode(t, database, url, 'c', options),
  ];
  await balanced(nodes);
  const before = nodes.map(({ held, taken }) => ({ held, taken }));
  await database.kill();
  await until('all have lost the database', () =>
    nodes.every(({ terms }) => [...terms.values()].every(({ isConnected }) => !isConnected)),
  );
  t.deepEqual(
    nodes.map(({ assignment }) => assignment.holderOf(0)?.node),
    Array.from({ length: 3 }, () => nodes.find(({ held }) => held.includes(0))?.name),
    'while it is away, the holders are those that were known',
  );
  await database.start();
  await until('all terms go on', () =>
    nodes.every(({ terms }) => [...terms.values()].every(({ isConnected }) => isConnected)),
  );
  const seen = async (): Promise<readonly string[]> => {
    const text = 'SELECT seen_at::text AS seen FROM flotilla.cluster_node ORDER BY node';
    return (await database.sql(url, text)).map(({ seen: at }) => String(at));
  };
  const first = await seen();
  await until('all have looked', async () =>
    (await seen()).every((at, index) => at !== first[index]),
  );
  await balanced(nodes);
  t.deepEqual(
    nodes.map(({ held, taken }) => ({ held, taken })),
    before,
  );
});

test('the second node with a name is refused while the first one is alive', async (t) => {
  const database = skipsWithoutServer(t, server);
  if (database === undefined) return;
  t.timeout(limitMs);
  const url = await database.database();
  const first = await testNode(t, database, url, 'same', { partitions: 1 });
  await balanced([first], 1);
  const options = { partitions: 1, start: false };
  const second = await testNode(t, database, url, 'same', options);
  const error = await t.throwsAsync<FlotillaError>(second.assignment.start());
  t.is(error.code, 'cluster-node-name');
  t.is(error.detail, 'same at same.example:7000');
  t.deepEqual(first.held, [0]);

  // A process that stood still finds that another one has its name.
  await database.sql(url, "UPDATE flotilla.cluster_node SET run = 'other', seen_at = 'infinity'");
  t.is((await first.assignment.failed).code, 'cluster-node-name');
});

test('a node with another number of partitions is refused', async (t) => {
  const database = skipsWithoutServer(t, server);
  if (database === undefined) return;
  t.timeout(limitMs);
  const url = await database.database();
  await testNode(t, database, url, 'a', { partitions: 2 });
  const other = await testNode(t, database, url, 'b', { partitions: 3, start: false });
  const error = await t.throwsAsync<FlotillaError>(other.assignment.start());
  t.is(error.code, 'cluster-partitions-differ');
});

test('a node does not start on a database whose sessions were exported', async (t) => {
  const database = skipsWithoutServer(t, server);
  if (database === undefined) return;
  t.timeout(limitMs);
  const url = await database.database();
  const first = await testNode(t, database, url, 'a', { partitions: 2 });
  await balanced([first], 2);
  await first.assignment.close();
  await database.sql(
    url,
    "UPDATE flotilla.broker_store SET exported_at = now() WHERE store = 'p1'",
  );
  const second = await testNode(t, database, url, 'b', { partitions: 2, start: false });
  const error = await t.throwsAsync<FlotillaError>(second.assignment.start());
  t.is(error.code, 'store-exported');
});

test('a holder that hangs loses its partitions although its connections live, and finds out when it goes on', async (t) => {
  const database = skipsWithoutServer(t, server);
  if (database === undefined) return;
  t.timeout(limitMs);
  const url = await database.database();
  const times = { hungAfterMs: 2000, silentMaxMs: 2000 };
  const a = await testNode(t, database, url, 'a', { partitions: 2, times });
  const b = await testNode(t, database, url, 'b', { partitions: 2, times });
  await balanced([a, b], 2);
  void a.proxy.lose('client');
  await until('the other node holds everything', () => b.held.length === 2);
  await until('the node that hangs is not alive', () =>
    b.assignment.nodes.some(({ name, alive }) => name === 'a' && !alive),
  );
  a.proxy.cut();
  await until('it has found out', () => a.taken === 2 || a.held.length === 0);
  await balanced([a, b], 2);
  t.true(b.taken >= 2);
});

test('a partition that one node cannot take is taken by another one', async (t) => {
  const database = skipsWithoutServer(t, server);
  if (database === undefined) return;
  t.timeout(limitMs);
  const url = await database.database();
  let attempts = 0;
  const access = { address: parseDatabaseUrl(url), password: undefined, ca: undefined };
  const broken = new PartitionAssignment({
    ...{ access, clock: systemClock, log, node: 'broken', address: () => 'broken.example:7000' },
    ...{ version: '1.0.0', partitions: 4 },
    take: () => {
      attempts++;
      return Promise.reject(new Error('the disk is full'));
    },
    give: () => Promise.resolve(),
  });
  t.teardown(() => broken.close());
  await broken.start();
  await until('it has tried', () => attempts > 0);
  const works = await testNode(t, database, url, 'works', { partitions: 4 });
  await until('the other node holds everything', () => works.held.length === 4);
  t.is(broken.held.size, 0);
  // It is not moved to the node that cannot take it.
  const beat = async (): Promise<unknown> => {
    const rows = await database.sql(
      url,
      "SELECT seen_at::text FROM flotilla.cluster_node WHERE node = 'works'",
    );
    return rows[0]?.['seen_at'];
  };
  for (let count = 0; count < 3; count++) {
    const last = await beat();
    await until('another heartbeat', async () => (await beat()) !== last);
  }
  t.is(works.given, 0);
});
