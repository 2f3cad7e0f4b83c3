import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { systemClock } from '../../core/clock.ts';
import { parseDatabaseUrl } from '../../core/config/database-url.ts';
import { isFlotillaError } from '../../core/errors/flotilla-error.ts';
import { silentLog } from '../../core/log.ts';
import type { AuditEvent } from '../../enroll/audit/audit-event.ts';
import { AuditLog } from '../../enroll/audit/audit-log.ts';
import { DatabaseTerm } from '../../core/database/database-term.ts';
import { PostgresAudit, readExtent } from '../../enroll/database/postgres-audit.ts';
import { registryTerm } from '../../enroll/database/registry-tables.ts';
import { PostgresRegistry } from '../../enroll/database/postgres-registry.ts';
import type { Change } from '../../enroll/registry/registry.ts';
import {
  postgresServer,
  skipsWithoutServer,
  type PostgresServer,
} from '../support/postgres-server.ts';
import { socketSwitch } from '../support/socket-switch.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { until } from '../support/until.ts';
import { deviceRow, registryContract, type Opened } from './registry.ts';

let server: PostgresServer | undefined;
test.before(async (t) => {
  t.timeout(120_000);
  server = await postgresServer();
});
test.after.always(() => server?.close());

/** One term after the other in a database. */
async function openIn(t: ExecutionContext, url: string): Promise<Opened & { term: DatabaseTerm }> {
  const access = { address: parseDatabaseUrl(url), password: undefined, ca: undefined };
  const term = await DatabaseTerm.begin({
    ...{ tables: registryTerm, access, log: silentLog, instance: 'test' },
  });
  if (term === undefined) throw new Error('no term');
  const { number, auditSeq: seq, auditHash: hash } = await readExtent(term);
  const copy = await AuditLog.open(join(tempFolder(t), 'audit'), systemClock);
  const audit = new PostgresAudit({ term, copy, log: silentLog });
  const auditEnd = { seq, hash };
  const { written } = audit;
  const registry = await PostgresRegistry.open({
    ...{ term, clock: systemClock, auditEnd, number, written },
  });
  audit.writeTo(registry);
  const events: AuditEvent[] = [];
  audit.watch(({ action, actor, device }) => {
    events.push({ action, actor, ...(device === undefined ? {} : { device }) });
  });
  const close = async (): Promise<void> => {
    await registry.close();
    await term.close();
    await copy.close();
  };
  t.teardown(close);
  return {
    registry,
    events,
    term,
    async reopen() {
      await close();
      return openIn(t, url);
    },
  };
}

const contractTest: typeof test = Object.assign(
  (title: string, run: (t: ExecutionContext) => Promise<void>) => {
    test(title, async (t) => {
      if (skipsWithoutServer(t, server) !== undefined) await run(t);
    });
  },
  test,
);
registryContract(contractTest, 'PostgreSQL', async (t) =>
  openIn(t, (await server?.database()) ?? ''),
);

const put = (id: string, group: string | null = null, expected = 0): Change => ({
  puts: [{ table: 'devices', record: deviceRow(id, { group }), expected }],
  events: [{ action: 'device-changed', actor: 'test', device: id }],
});
const rowCount = "SELECT count(*)::int AS n FROM flotilla.registry_row WHERE kind = 'devices'";

for (const [side, outcome] of [
  ['server', 'took effect is acknowledged, and is not written twice'],
  ['client', 'was lost is written again, and then acknowledged'],
] as const) {
  test(`a commit whose connection ends and that ${outcome}`, async (t) => {
    const running = skipsWithoutServer(t, server);
    if (running === undefined) return;
    t.timeout(120_000);
    const url = await running.database();
    const proxy = await socketSwitch(t, running.folder);
    const { registry, events } = await openIn(t, withFolder(url, proxy.folder));
    const before = await registry.commit(put('a'));
    const held = proxy.lose(side);
    let isResolved = false;
    const commit = registry.commit(put('b')).finally(() => (isResolved = true));
    await held;
    t.false(isResolved, 'it is not acknowledged while its outcome is not known');
    const found = await until('the database has the outcome', async () => {
      const [row] = await running.sql(url, rowCount);
      return row?.['n'] === (side === 'server' ? 2 : 1);
    });
    t.true(found);
    proxy.cut();
    t.is(await commit, before + 1);
    t.deepEqual(await running.sql(url, rowCount), [{ n: 2 }]);
    const [lines] = await running.sql(url, 'SELECT count(*)::int AS n FROM flotilla.audit_line');
    t.deepEqual(lines, { n: 2 });
    t.is(events.length, 2);
    t.is(await registry.commit(put('c')), before + 2);
  });
}

test('an instance that another one has replaced writes nothing, and says so', async (t) => {
  const running = skipsWithoutServer(t, server);
  if (running === undefined) return;
  t.timeout(120_000);
  const url = await running.database();
  const former = await openIn(t, url);
  await former.registry.commit(put('a'));
  // Another session takes the lock and begins a term while the connection of the first one is lost.
  const taken = running.sql(
    url,
    `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database());
     SELECT pg_advisory_lock(x'666c6f74'::int, 1);
     UPDATE flotilla.registry SET term = term + 1;
     INSERT INTO flotilla.term SELECT term, 'other', now(), writes, number FROM flotilla.registry`,
  );
  await taken;
  const failed = await t.throwsAsync(former.registry.commit(put('b')));
  t.true(isFlotillaError(failed, 'registry-unavailable'));
  t.true(isFlotillaError(await former.term.lost, 'database-fenced'));
  // What was taken back is not waited for.
  await former.registry.settled();
  t.is(await former.registry.get('devices', 'b'), undefined);
  t.deepEqual(await running.sql(url, rowCount), [{ n: 1 }]);
  // The next term has what was acknowledged.
  const next = await openIn(t, url);
  t.is(await next.registry.count('devices'), 1);
  t.is(await next.registry.commit(put('c')), 2);
});

test('a second term is refused or waits until the first one ends', async (t) => {
  const running = skipsWithoutServer(t, server);
  if (running === undefined) return;
  t.timeout(120_000);
  const url = await running.database();
  const first = await openIn(t, url);
  const access = { address: parseDatabaseUrl(url), password: undefined, ca: undefined };
  const deps = { tables: registryTerm, access, log: silentLog, instance: 'second' };
  t.true(isFlotillaError(await t.throwsAsync(DatabaseTerm.begin(deps)), 'database-in-use'));
  let stop = (): void => undefined;
  const stopped = new Promise<void>((resolve) => (stop = resolve));
  const active = Promise.withResolvers<string>();
  const waits = { stop: new Promise(() => undefined), waiting: active.resolve };
  const second = DatabaseTerm.begin(deps, waits);
  const third = DatabaseTerm.begin(deps, { stop: stopped, waiting: stop });
  t.is(await active.promise, 'test');
  t.is(await third, undefined, 'a standby can be stopped');
  await first.registry.close();
  await first.term.close();
  const term = await second;
  t.true(term?.isConnected);
  await term?.close();
});

test('what the server refuses is not committed, and the next commit works', async (t) => {
  const running = skipsWithoutServer(t, server);
  if (running === undefined) return;
  const url = await running.database();
  const { registry, events } = await openIn(t, url);
  await registry.commit(put('a'));
  await running.sql(url, 'ALTER TABLE flotilla.audit_line ADD CHECK (seq <> 2) NOT VALID');
  const failed = await t.throwsAsync(registry.commit(put('b')));
  t.true(isFlotillaError(failed, 'registry-unavailable'));
  t.is(await registry.get('devices', 'b'), undefined);
  await running.sql(url, 'ALTER TABLE flotilla.audit_line DROP CONSTRAINT audit_line_seq_check');
  await registry.commit(put('b'));
  t.is(events.length, 2);
  t.deepEqual(await running.sql(url, rowCount), [{ n: 2 }]);
});

test('a later term knows the newest changes and deletions of identities, back to where they are complete', async (t) => {
  const running = skipsWithoutServer(t, server);
  if (running === undefined) return;
  t.timeout(120_000);
  const url = await running.database();
  const first = await openIn(t, url);
  const { registry } = first;
  t.deepEqual(registry.recentDevices?.(10), { after: 0, changes: [] });
  await registry.commit(put('a'));
  await registry.commit(put('b'));
  await registry.commit({ deletions: [{ table: 'devices', key: 'a', expected: 1 }] });
  // Deleted and used again, in one batch.
  await Promise.all([
    registry.commit({ deletions: [{ table: 'devices', key: 'b', expected: 2 }] }),
    registry.commit(put('b')),
  ]);
  const second = await first.reopen();
  const changesOf = ({ registry: one }: Opened): string[] | undefined =>
    one
      .recentDevices?.(10)
      ?.changes.map(
        ({ commit, id, record }) => `${commit} ${id}${record === undefined ? ' -' : ''}`,
      );
  t.deepEqual(changesOf(second), ['3 a -', '5 b']);
  t.is(second.registry.recentDevices?.(10), undefined, 'they are read once');

  // Tables of the version before this one have no deletions.
  await second.registry.close();
  await running.sql(
    url,
    `DROP TABLE flotilla.removal; UPDATE flotilla.registry SET format = 1;
     DELETE FROM flotilla.stored_text WHERE name = 'removals-after'`,
  );
  const third = await second.reopen();
  t.deepEqual(third.registry.recentDevices?.(10), { after: 5, changes: [] });
  await third.registry.commit({ deletions: [{ table: 'devices', key: 'b', expected: 5 }] });
  const fourth = await third.reopen();
  t.deepEqual(changesOf(fourth), ['6 b -']);
});

test('a commit waits for the disk although the server does not by default', async (t) => {
  const running = skipsWithoutServer(t, server);
  if (running === undefined) return;
  const url = await running.database();
  const name = parseDatabaseUrl(url).database;
  await running.sql(url, `ALTER DATABASE ${name} SET synchronous_commit = off`);
  const { term } = await openIn(t, url);
  const [found] = await term.read<{ value: string }>(
    "SELECT current_setting('synchronous_commit') AS value",
  );
  t.is(found?.value, 'on');
});

/** The URL of the same database behind another socket. */
function withFolder(url: string, folder: string): string {
  return url.replace(/host=.*/, `host=${encodeURIComponent(folder)}`);
}

test('signs of life and statements are sent one at a time', async (t) => {
  const running = skipsWithoutServer(t, server);
  if (running === undefined) return;
  const warnings: string[] = [];
  const noteWarning = ({ name, message }: Error): void => void warnings.push(`${name}: ${message}`);
  process.on('warning', noteWarning);
  t.teardown(() => process.off('warning', noteWarning));
  const address = parseDatabaseUrl(await running.database());
  const term = await DatabaseTerm.begin({
    ...{ tables: registryTerm, log: silentLog, instance: 'test', heartbeatMs: 1 },
    access: { address, password: undefined, ca: undefined },
  });
  if (term === undefined) throw new Error('no term');
  const name = 'test-pause';
  // As an append, it says whether the term is the current one.
  const text = 'SELECT count(*)::int AS passed FROM pg_sleep(0.005) WHERE $1 > 0 AND $2 > 0';
  const statement = { name, text, values: [] };
  const reads: Promise<unknown>[] = [];
  for (let round = 0; round < 50; round++) {
    const written = term.write(statement);
    if (round % 10 === 0) reads.push(written.then(() => term.read('SELECT pg_sleep(0.002)')));
    await written;
    await Promise.all(reads.splice(0));
    // The timer of the heartbeat runs.
    await until('the next turn', () => new Promise<boolean>((next) => setTimeout(next, 2, true)));
  }
  t.is(term.writes, 50);
  await term.close();
  t.deepEqual(
    warnings.filter((one) => one.includes('already executing')),
    [],
  );
});
