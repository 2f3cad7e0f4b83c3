/** `flotilla node list|drain|resume`, with nodes that hold partitions without sessions in a real database. @module */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { partitionName } from '../../core/partition.ts';
import { PartitionAssignment } from '../../broker/cluster/partition-assignment.ts';
import { journalTerm } from '../../broker/journal/journal-tables.ts';
import { nodeListSchema, type NodeList } from '../../cli/lib/node-list.ts';
import { systemClock } from '../../core/clock.ts';
import { parseDatabaseUrl } from '../../core/config/database-url.ts';
import { DatabaseTerm } from '../../core/database/database-term.ts';
import { createLog } from '../../core/log.ts';
import { flotilla, type CommandResult } from '../support/cli.ts';
import {
  postgresServer,
  skipsWithoutServer,
  type PostgresServer,
} from '../support/postgres-server.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { until } from '../support/until.ts';

const limitMs = 240_000;
const log = createLog({ level: 'silent' });
const count = 4;

let server: PostgresServer | undefined;
test.before(async (t) => {
  t.timeout(limitMs);
  server = await postgresServer();
});
test.after.always(() => server?.close());

/** Runs `flotilla node …` on a state folder whose settings name the database. */
function commandsOf(
  t: ExecutionContext,
  url: string,
): (...args: string[]) => Promise<CommandResult> {
  const state = join(tempFolder(t), 'state');
  mkdirSync(state);
  writeFileSync(join(state, 'flotilla.yaml'), `broker:\n  database: ${url}\n`);
  return (...args) => flotilla(['node', ...args, '--state', state]);
}

/** Starts a node, which never fails to take a partition. */
async function startNode(
  t: ExecutionContext,
  url: string,
  node: string,
): Promise<PartitionAssignment> {
  const access = { address: parseDatabaseUrl(url), password: undefined, ca: undefined };
  const terms = new Map<number, DatabaseTerm>();
  const assignment = new PartitionAssignment({
    ...{ access, clock: systemClock, log, node, address: () => `${node}.example:8885` },
    ...{ version: '1.2.3', partitions: count, times: { settledAfterMs: 500 } },
    async take(index) {
      const tables = journalTerm({ name: partitionName(index), index, count });
      const term = await DatabaseTerm.begin({ access, log, tables, instance: node });
      if (term !== undefined) terms.set(index, term);
      return term;
    },
    async give(index) {
      await terms.get(index)?.close();
      terms.delete(index);
    },
  });
  t.teardown(() => assignment.close());
  await assignment.start();
  return assignment;
}

test('nodes are listed with their partitions; a drained node gives them and gets none, also after a restart, until it is resumed', async (t) => {
  const database = skipsWithoutServer(t, server);
  if (database === undefined) return;
  t.timeout(limitMs);
  const url = await database.database();
  const node = commandsOf(t, url);
  const read = async (): Promise<NodeList> =>
    nodeListSchema.parse((await node('list', '--json')).json());
  const held = async (): Promise<string> =>
    (await read()).nodes
      .map(({ name, state, partitions }) => `${name} ${state} ${partitions.length}`)
      .join(', ');
  const settled = (wanted: string): Promise<true | undefined> =>
    until(wanted, async () => (await held()) === wanted || undefined);
  const first = await startNode(t, url, 'broker-1');
  await settled('broker-1 alive 4');

  const alone = await node('drain', 'broker-1');
  t.is(alone.code, 1);
  t.regex(alone.stderr, /\[node-alone\]/);
  await startNode(t, url, 'broker-2');
  await settled('broker-1 alive 2, broker-2 alive 2');
  const list = await node('list');
  t.is(list.code, 0, list.stderr);
  t.regex(list.stdout, /^broker-1 +alive +broker-1\.example:8885 +1\.2\.3 +\S+ +p\d p\d$/m);
  t.regex(list.stdout, /^partitions without a node: none$/m);

  const drained = await node('drain', 'broker-1', '--json');
  t.is(drained.code, 0, drained.stderr);
  t.like(drained.json(), { node: 'broker-1', draining: true });
  t.regex(drained.stderr, /broker-1: holds 2 partitions: p\d p\d/);
  t.is(await held(), 'broker-1 draining 0, broker-2 alive 4');
  t.true(first.isDraining);
  t.is((await node('drain', 'broker-1')).code, 0, 'it can be repeated');
  t.regex((await node('drain', 'broker-2')).stderr, /\[node-alone\]/);

  await first.close();
  await settled('broker-2 alive 4');
  const again = await startNode(t, url, 'broker-1');
  await settled('broker-1 draining 0, broker-2 alive 4');
  t.true(again.isDraining);
  const resumed = await node('resume', 'broker-1');
  t.is(resumed.code, 0, resumed.stderr);
  t.is(resumed.stdout, 'broker-1 may hold partitions again\n');
  await settled('broker-1 alive 2, broker-2 alive 2');
  t.is((await node('resume', 'broker-1')).code, 0, 'it can be repeated');

  const late = await node('drain', 'broker-1', '--timeout', '0ms');
  t.is(late.code, 1);
  t.regex(late.stderr, /broker-1: holds 2 partitions.*\[node-drain-unfinished\]/);
  await settled('broker-1 draining 0, broker-2 alive 4');
});

test('a partition without a node is reported with exit code 1', async (t) => {
  const database = skipsWithoutServer(t, server);
  if (database === undefined) return;
  t.timeout(limitMs);
  const url = await database.database();
  const node = commandsOf(t, url);
  const only = await startNode(t, url, 'broker-1');
  await until('it holds all', async () => (await node('list')).code === 0);
  await only.close();
  const { code, stdout } = await node('list');
  t.is(code, 1);
  t.regex(stdout, /partitions without a node: p0 p1 p2 p3/);
});

test('what cannot work is refused with a code of the catalogue', async (t) => {
  const database = skipsWithoutServer(t, server);
  if (database === undefined) return;
  t.timeout(limitMs);
  const url = await database.database();
  const node = commandsOf(t, url);
  const missing = await node('list');
  t.is(missing.code, 1);
  t.regex(missing.stderr, /\[cluster-without-partitions\]/);
  await startNode(t, url, 'broker-1');
  for (const action of ['drain', 'resume']) {
    const unknown = await node(action, 'broker-9');
    t.is(unknown.code, 1);
    t.regex(unknown.stderr, /broker-9; there are: broker-1.*\[node-unknown\]/);
  }
  const without = await flotilla(['node', 'list', '--state', join(tempFolder(t), 'state')]);
  t.is(without.code, 2);
  t.regex(without.stderr, /\[cluster-not-configured\]/);
  const away = commandsOf(t, 'postgres://flotilla@/x?host=/nonexistent');
  t.regex((await away('list')).stderr, /\[database-unreachable\]/);
});
