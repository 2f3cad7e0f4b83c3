import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import test from 'ava';
import { postgresServer, skipsWithoutServer } from '../support/postgres-server.ts';
import type { ExecutionContext } from 'ava';
import { until } from '../support/until.ts';

const opened = await postgresServer();
test.after.always(() => opened?.close());

interface Report {
  readonly open: number;
  readonly live: readonly string[];
  readonly counts: Readonly<Record<string, number>>;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const roundsMax = Number(process.env['CLAIM_ROUNDS'] ?? '300');
const atOnce = 25;

interface Race {
  readonly nodes: readonly ChildProcess[];
  readonly ask: (
    clientIds: readonly string[],
    nodes?: readonly ChildProcess[],
  ) => Promise<Report[]>;
}

/** Starts brokers as processes. @param loss the part of the notifications that is lost */
async function race(t: ExecutionContext, url: string, count: number, loss: number): Promise<Race> {
  const nodes: ChildProcess[] = [];
  t.teardown(() => nodes.forEach((node) => node.kill('SIGKILL')));
  for (let n = 1; n <= count; n++) {
    const args = [url, `broker-${n}`, String(loss)];
    const node = fork('test/support/claim-race-child.ts', args);
    nodes.push(node);
    await once(node, 'message');
  }
  return {
    nodes,
    ask: (clientIds, asked = nodes) =>
      Promise.all(
        asked.map(async (node) => {
          node.send({ kind: 'report', clientIds });
          const [report] = (await once(node, 'message')) as [Report];
          return report;
        }),
      ),
  };
}

for (const loss of [0, 0.1]) {
  test.serial(
    `three brokers that claim the same client id at once: one has it, ${loss * 100} % of the hints lost`,
    async (t) => {
      const server = skipsWithoutServer(t, opened);
      if (server === undefined) return;
      const url = await server.database();
      const { nodes, ask } = await race(t, url, 3, loss);
      const startedMs = performance.now();
      const all: string[] = [];
      for (let round = 0; round < roundsMax; round += atOnce) {
        const clientIds = Array.from({ length: atOnce }, (_, n) => `c${round + n}`);
        all.push(...clientIds);
        for (const clientId of clientIds) {
          for (const node of nodes) {
            node.send({ kind: 'connect', clientId });
            if (Math.random() < 0.3) node.send({ kind: 'connect', clientId });
          }
        }
        let reports: Report[] = [];
        await until('every client id has one live connection', async () => {
          reports = await ask(clientIds);
          if (reports.some(({ open }) => open > 0)) return undefined;
          return reports.flatMap(({ live }) => live).length === clientIds.length || undefined;
        });
        t.is(new Set(reports.flatMap(({ live }) => live)).size, clientIds.length);
      }
      const reports = await ask(all);
      const live = reports.flatMap((report) => report.live);
      t.is(live.length, all.length);
      t.is(new Set(live).size, all.length);
      const rows = await server.sql(
        url,
        'SELECT client, node FROM flotilla.broker_session_owner WHERE connected',
      );
      t.is(rows.length, all.length);
      for (const row of rows) {
        const at = Number(String(row['node']).at(-1)) - 1;
        if (!reports[at]!.live.includes(String(row['client'])))
          t.fail('the row names another broker');
      }
      const [first] = reports;
      t.log(
        `${all.length} rounds, ${Math.round(performance.now() - startedMs)} ms`,
        first?.counts,
        first?.p50Ms,
        first?.p99Ms,
      );
    },
  );
}

for (const fault of ['SIGKILL', 'SIGSTOP'] as const) {
  test.serial(
    `the sessions of a broker that got ${fault} go to another one when its lease is over`,
    async (t) => {
      const server = skipsWithoutServer(t, opened);
      if (server === undefined) return;
      const url = await server.database();
      const { nodes, ask } = await race(t, url, 2, 0);
      const [first, second] = nodes as [ChildProcess, ChildProcess];
      const clientIds = Array.from({ length: 50 }, (_, n) => `c${n}`);
      const connectAll = (node: ChildProcess): void => {
        for (const clientId of clientIds) node.send({ kind: 'connect', clientId });
      };
      const hasAll = async (node: ChildProcess): Promise<boolean> => {
        const [report] = await ask(clientIds, [node]);
        return report?.live.length === clientIds.length;
      };
      connectAll(first);
      await until('the first has them', () => hasAll(first));
      first.kill(fault);
      connectAll(second);
      await until('the second has them', () => hasAll(second));
      t.pass();
      if (fault === 'SIGKILL') return;
      first.kill('SIGCONT');
      await until('the first has closed its connections', async () => {
        const [report] = await ask(clientIds, [first]);
        return report?.live.length === 0;
      });
      t.true(await hasAll(second));
      await until('its new incarnation takes them over', async () => {
        const [report] = await ask(clientIds, [first]);
        if (report === undefined || report.open > 0) return false;
        // Clients that were refused while the new incarnation began connect again.
        const missing = clientIds.filter((clientId) => !report.live.includes(clientId));
        for (const clientId of missing) first.send({ kind: 'connect', clientId });
        return missing.length === 0;
      });
      const reports = await ask(clientIds);
      t.deepEqual(
        reports.map(({ live }) => live.length),
        [50, 0],
      );
    },
  );
}
