/**
 * `flotilla cluster import`: the registry and the audit log of a state folder are moved into a database.
 *
 * @module
 */
import { existsSync } from 'node:fs';
import { cp, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { systemClock } from '../../core/clock.ts';
import { Lifecycle } from '../../core/lifecycle.ts';
import { silentLog } from '../../core/log.ts';
import { stateFolder, type StateFolder } from '../../core/state-folder.ts';
import { auditTexts } from '../../enroll/audit/audit-reader.ts';
import { openFileStorage } from '../../enroll/bootstrap/file-storage.ts';
import { keyOfRow, tableNames } from '../../enroll/registry/registry-rows.ts';
import { deviceRow, tokenRow } from '../contract/registry.ts';
import { spawnNode } from '../support/child.ts';
import { flotilla, flotillaPath } from '../support/cli.ts';
import {
  postgresServer,
  skipsWithoutServer,
  type PostgresServer,
} from '../support/postgres-server.ts';
import { tempFolder } from '../support/temp-folder.ts';

const limitMs = 240_000;
/** More than one transaction, and deletions. */
const devices = 2100;

let server: PostgresServer | undefined;
test.before(async (t) => {
  t.timeout(limitMs);
  server = await postgresServer();
});
test.after.always(() => server?.close());

/** Rows by table and key, with their version and their text. */
type Rows = Record<string, { version: number; record: unknown }>;

interface Content {
  readonly rows: Rows;
  readonly number: number;
  readonly head: { readonly seq: number; readonly hash: string };
  /** Undefined: not compared. */
  readonly history: string | undefined;
  readonly lines: readonly string[];
}

/** Adds changes to the files, and returns what they contain then. */
async function contentOf(state: StateFolder, count: number): Promise<Content> {
  const lifecycle = new Lifecycle();
  const deps = { clock: systemClock, log: silentLog, acceptLoss: undefined };
  const { registry, audit } = await openFileStorage(state, deps, lifecycle);
  const ids = Array.from({ length: count }, (_none, at) => `d${at}`);
  await Promise.all(
    ids.map((id) =>
      registry.commit({
        puts: [{ table: 'devices', record: deviceRow(id, { certificates: [] }), expected: 0 }],
        events: [{ action: 'certificate-issued', actor: 'test\u0000', detail: { id } }],
      }),
    ),
  );
  if (count > 0) {
    const record = tokenRow('a'.repeat(64), 'd1');
    await registry.commit({ puts: [{ table: 'tokens', record, expected: 0 }] });
    const version = (await registry.get('devices', 'd0'))?.version ?? 0;
    await registry.commit({ deletions: [{ table: 'devices', key: 'd0', expected: version }] });
  }
  const rows: Rows = {};
  for (const table of tableNames) {
    for await (const { version, ...record } of registry.rows(table)) {
      rows[`${table} ${keyOfRow(table, record)}`] = { version, record };
    }
  }
  const { head } = audit;
  const { number } = registry;
  await lifecycle.close();
  const history = await readFile(join(state.enroll.registry, 'lineage.json'), 'utf8');
  const lines: string[] = [];
  for await (const line of auditTexts(state.enroll.audit)) lines.push(line);
  return { rows, number, head, history, lines };
}

async function assertMoved(
  t: ExecutionContext,
  database: PostgresServer,
  url: string,
  content: Content,
): Promise<void> {
  const rows: Rows = {};
  for (const row of await database.sql(url, 'SELECT * FROM flotilla.registry_row')) {
    const record: unknown = JSON.parse(String(row['body']));
    rows[`${String(row['kind'])} ${String(row['key'])}`] = {
      version: Number(row['version']),
      record,
    };
  }
  t.deepEqual(rows, content.rows);
  const lines = await database.sql(url, 'SELECT line FROM flotilla.audit_line ORDER BY seq');
  t.deepEqual(
    lines.map(({ line }) => line),
    [...content.lines],
  );
  const [numbers] = await database.sql(
    url,
    'SELECT number::int, audit_seq::int, audit_hash FROM flotilla.registry',
  );
  const { number, head } = content;
  t.deepEqual(numbers, { number, audit_seq: head.seq, audit_hash: head.hash });
  if (content.history === undefined) return;
  const texts = await database.sql(
    url,
    "SELECT content FROM flotilla.stored_text WHERE name = 'history'",
  );
  t.is(texts[0]?.['content'], content.history);
}

const importFiles = (state: StateFolder, ...more: string[]): ReturnType<typeof flotilla> =>
  flotilla(['cluster', 'import', '--state', state.root, '--json', ...more]);

interface Verdict {
  readonly ok: boolean;
  readonly lines: number;
  readonly head: { readonly hash: string };
}

async function verified(state: StateFolder): Promise<Verdict> {
  const result = await flotilla(['audit', 'verify', '--state', state.root, '--json']);
  return result.json() as Verdict;
}

/** A new state folder with a CA, and commands on it. */
async function initialized(t: ExecutionContext) {
  const state = stateFolder(join(tempFolder(t), 'state'));
  await mkdir(state.root, { mode: 0o700 });
  const run = (...args: string[]): ReturnType<typeof flotilla> =>
    flotilla([...args, '--state', state.root]);
  t.is((await run('init')).code, 0);
  return { state, run };
}

test('a registry in files is counted, moved into a database once, also after an interruption, and complete there', async (t) => {
  const database = skipsWithoutServer(t, server);
  if (database === undefined) return;
  t.timeout(limitMs);
  const { state, run } = await initialized(t);
  await writeFile(state.enroll.crlNumber, '4102444800000\n');
  const content = await contentOf(state, devices);
  const before = await verified(state);
  t.true(before.ok);
  const url = await database.database();
  await writeFile(state.config, `enroll:\n  database: ${url}\n`);
  t.regex((await run('init')).stderr, /flotilla cluster import[^]*registry-not-imported/);
  t.regex((await run('enroll', 'serve')).stderr, /registry-not-imported/);

  const dry = await importFiles(state, '--dry-run');
  t.is(dry.code, 0, dry.stderr);
  t.like(dry.json(), {
    imported: false,
    enroll: { rows: Object.keys(content.rows).length, tokens: 1, auditLines: before.lines },
  });

  // The last transaction is refused: everything before it is in the database, and none of it counts.
  await flotilla(['audit', 'verify', '--state', state.root]);
  await database.sql(
    url,
    `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END';
     CREATE TRIGGER refuse BEFORE UPDATE ON flotilla.registry
       FOR EACH ROW WHEN (NEW.number > 0) EXECUTE FUNCTION refuse()`,
  );
  const interrupted = await importFiles(state);
  t.not(interrupted.code, 0);
  t.true(existsSync(state.enroll.registry));
  const [rest] = await database.sql(url, 'SELECT count(*)::int AS n FROM flotilla.registry_row');
  t.is(rest?.['n'], Object.keys(content.rows).length);
  const other = stateFolder(join(tempFolder(t), 'other'));
  await cp(state.ca.folder, other.ca.folder, { recursive: true });
  await cp(state.config, other.config);
  const unfinished = await flotilla(['init', '--state', other.root]);
  t.regex(unfinished.stderr, /registry-import-unfinished/);
  await database.sql(url, 'DROP TRIGGER refuse ON flotilla.registry');

  const done = await importFiles(state);
  t.is(done.code, 0, done.stderr);
  const moved = `${state.enroll.registry}.imported`;
  t.like(done.json(), { imported: true, enroll: { moved } });
  t.false(existsSync(state.enroll.registry));
  t.false(existsSync(state.enroll.crlNumber));
  await assertMoved(t, database, url, content);
  t.deepEqual(await verified(state), { ...before, files: 0 } as Verdict);

  // As if the process had ended before it renamed the files.
  await rename(moved, state.enroll.registry);
  t.is((await importFiles(state)).code, 0);
  await assertMoved(t, database, url, content);
  t.regex((await importFiles(state)).stderr, /import-nothing/);

  // The service starts on it, and a standby can take over.
  const args = ['enroll', 'serve', '--state', state.root, '--https-port', '0', '--json'];
  const child = spawnNode(t, [flotillaPath, ...args], { timeoutMs: limitMs });
  await child.line((line) => line.includes('"ready"'));
  const shown = await run('device', 'show', 'd2099', '--json');
  t.is(shown.code, 0, shown.stderr);
  t.is((await run('device', 'show', 'd0', '--json')).code, 1);
  t.is((await child.stop()).code, 0);
  const after = await verified(state);
  t.true(after.ok);
  t.true(after.lines > before.lines);

  // Without the setting, the start says where the registry is.
  await writeFile(state.config, '');
  t.regex((await run('init')).stderr, /moved into a database[^]*registry-missing/);
});

test('a registry in a database is written into files, with the same rows, numbers and lines, and is not used there any more', async (t) => {
  const database = skipsWithoutServer(t, server);
  if (database === undefined) return;
  t.timeout(limitMs);
  const { state, run } = await initialized(t);
  await contentOf(state, 300);
  await writeFile(state.enroll.crlNumber, '4102444800000\n');
  const url = await database.database();
  await writeFile(state.config, `enroll:\n  database: ${url}\n`);
  t.is((await importFiles(state)).code, 0);
  // Changes that only the database has.
  const args = ['enroll', 'serve', '--state', state.root, '--https-port', '0', '--json'];
  const child = spawnNode(t, [flotillaPath, ...args], { timeoutMs: limitMs });
  await child.line((line) => line.includes('"ready"'));
  t.is((await run('device', 'revoke', 'd7')).code, 0);
  t.is((await run('device', 'delete', 'd8', '--yes')).code, 0);
  const target = stateFolder(join(tempFolder(t), 'new'));
  const exportFiles = (): ReturnType<typeof flotilla> =>
    run('cluster', 'export', '--to', target.root);
  t.regex((await exportFiles()).stderr, /state-in-use/);
  t.is((await child.stop()).code, 0);
  const before = await verified(state);

  const done = await exportFiles();
  t.is(done.code, 0, done.stderr);
  t.regex(done.stdout, new RegExp(`${before.lines} lines`));
  t.like(await verified(target), { ok: true, lines: before.lines, head: before.head });
  t.regex((await exportFiles()).stderr, /export-target-exists/);
  t.regex((await run('init')).stderr, /registry-exported/);

  // Back in the state folder, the service goes on with it.
  await rm(state.enroll.audit, { recursive: true });
  for (const name of ['registry', 'audit', 'crl-number']) {
    await rename(join(target.enroll.folder, name), join(state.enroll.folder, name));
  }
  await writeFile(state.config, '');
  const moved = await contentOf(state, 0);
  await assertMoved(t, database, url, { ...moved, history: undefined });
  t.deepEqual(moved.head, before.head);
  t.is(Object.keys(moved.rows).filter((name) => name.startsWith('devices d')).length, 298);
  t.like(moved.rows['devices d7']?.record, { status: 'revoked' });
  t.is(moved.rows['devices d8'], undefined);
  t.true(moved.number >= (moved.rows['devices d7']?.version ?? Infinity));
  t.is((await readFile(state.enroll.crlNumber, 'utf8')).length, 14);
  t.regex((await run('init')).stdout, /^kept/);
  t.true((await verified(state)).ok);
});

test('a database with a registry, a damaged audit log, and another CA are refused, and the files stay', async (t) => {
  const database = skipsWithoutServer(t, server);
  if (database === undefined) return;
  t.timeout(limitMs);
  const url = await database.database();
  const first = stateFolder(join(tempFolder(t), 'first'));
  await mkdir(first.root, { mode: 0o700 });
  t.is((await flotilla(['init', '--state', first.root])).code, 0);
  const empty = await database.database();
  await writeFile(first.config, `enroll:\n  database: ${empty}\n`);
  const second = stateFolder(join(tempFolder(t), 'second'));
  await cp(first.root, second.root, { recursive: true });
  await contentOf(second, 3);
  t.is((await importFiles(first)).code, 0);
  t.regex((await importFiles(second)).stderr, /registry-import-refused/);

  const third = stateFolder(join(tempFolder(t), 'third'));
  t.is((await flotilla(['init', '--state', third.root])).code, 0);
  await cp(first.config, third.config);
  t.regex((await importFiles(third)).stderr, /registry-import-refused|database-ca-differs/);
  await writeFile(third.config, `enroll:\n  database: ${url}\n`);
  const log = join(third.enroll.audit, 'audit-000001.jsonl');
  const text = await readFile(log, 'utf8');
  await writeFile(log, text.replace('system', 'others'));
  t.regex((await importFiles(third)).stderr, /audit-damaged/);
  await rm(third.config);
  for (const { enroll } of [second, third]) t.true(existsSync(enroll.registry));
});
