import { createHash } from 'node:crypto';
import {
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { cp, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import test, { type ExecutionContext } from 'ava';
import { systemClock } from '../../../../core/clock.ts';
import type { ErrorCode } from '../../../../core/errors/catalogue.ts';
import { isFlotillaError } from '../../../../core/errors/flotilla-error.ts';
import { openDurableStore } from '../../../../broker/store/durable-store.ts';
import type { SessionStore } from '../../../../broker/store/session-store.ts';
import {
  committed,
  deliveryOf,
  sessionRecord,
  storedMessage,
  wholeQueue,
  wideLimits,
} from '../../../support/store-samples.ts';
import { tempFolder } from '../../../support/temp-folder.ts';

const open = (path: string): Promise<SessionStore> =>
  openDurableStore({ path, limits: wideLimits, clock: systemClock });

/** Creates a store with 500 queued messages. Returns the path of its file. */
async function filledStore(folder: string): Promise<string> {
  const path = join(folder, 'store.sqlite');
  const store = await open(path);
  store.putSession(sessionRecord('a'));
  for (let index = 0; index < 500; index++) {
    store.enqueue('a', deliveryOf(storedMessage('t', `${index}`.repeat(50))));
  }
  await store.close();
  return path;
}

/** Everything in a folder, by name. */
function contentsOf(folder: string): Record<string, string> {
  const names = readdirSync(folder);
  return Object.fromEntries(names.map((name) => [name, digest(join(folder, name))]));
}

const digest = (path: string): string =>
  createHash('sha256').update(readFileSync(path)).digest('hex');

async function assertRefused(t: ExecutionContext, path: string, code: ErrorCode): Promise<void> {
  const folder = join(path, '..');
  const before = contentsOf(folder);
  const error = await t.throwsAsync(open(path));
  t.true(isFlotillaError(error, code), String(error));
  t.true(error.message.includes(path));
  t.deepEqual(contentsOf(folder), before, 'nothing was changed');
}

test('a store with a newer format prevents the start and is not changed', async (t) => {
  const path = await filledStore(tempFolder(t));
  const database = new DatabaseSync(path);
  database.exec('PRAGMA user_version = 3');
  database.close();
  await assertRefused(t, path, 'store-newer');
});

test('a store of the first format is upgraded, with everything in it', async (t) => {
  const path = await filledStore(tempFolder(t));
  const database = new DatabaseSync(path);
  database.exec(`ALTER TABLE session DROP COLUMN identity_created;
    ALTER TABLE will DROP COLUMN identity_created; ALTER TABLE will DROP COLUMN fingerprint;
    INSERT INTO will SELECT 'a', 'a', 0, NULL, message FROM queue LIMIT 1; PRAGMA user_version = 1`);
  database.close();
  const store = await open(path);
  const { sessions, wills } = await store.load();
  t.like(sessions[0], { clientId: 'a', identityCreatedAtMs: undefined });
  t.like(wills[0], { clientId: 'a', identityCreatedAtMs: undefined, fingerprint: undefined });
  t.is((await wholeQueue(store, 'a')).length, 500);
  store.putSession(sessionRecord('a', { identityCreatedAtMs: 7 }));
  await store.close();
  const again = await open(path);
  t.is((await again.load()).sessions[0]?.identityCreatedAtMs, 7);
  await again.close();
});

test('a file that is not a store prevents the start and is not changed', async (t) => {
  const folder = tempFolder(t);
  for (const [name, content] of [
    ['text', 'these are somebody’s notes'],
    ['zeros', Buffer.alloc(8192)],
    ['header', 'SQLite format 3\0'],
  ] as const) {
    writeFileSync(join(folder, name), content);
    await assertRefused(t, join(folder, name), 'store-damaged');
  }
  const foreign = join(folder, 'foreign');
  const database = new DatabaseSync(foreign);
  database.exec('CREATE TABLE notes (text TEXT)');
  database.close();
  await assertRefused(t, foreign, 'store-damaged');
});

test('an empty file, and a log without its database, are not taken for a new store', async (t) => {
  const folder = tempFolder(t);
  const empty = join(folder, 'empty.sqlite');
  writeFileSync(empty, '');
  await assertRefused(t, empty, 'store-damaged');
  const lost = join(folder, 'lost.sqlite');
  writeFileSync(`${lost}-wal`, 'frames');
  await t.throwsAsync(open(lost), { code: 'store-damaged', message: /lost\.sqlite-wal/ });
  t.false(existsSync(lost));
});

test('a damaged store prevents the start and is not changed', async (t) => {
  const whole = await filledStore(tempFolder(t));
  const size = statSync(whole).size;
  const damages: Record<string, (path: string) => void> = {
    'a page overwritten': (path) => overwrite(path, 4096 * 3, Buffer.alloc(4096, 0xa5)),
    'the schema overwritten': (path) => overwrite(path, 100, Buffer.alloc(200, 0xff)),
    'the end cut off': (path) => truncateSync(path, size - 4096 * 2),
    'a table missing': (path) => inside(path, 'DROP TABLE queue'),
    'an entry without its session': (path) => inside(path, 'DELETE FROM session'),
    'an invalid state': (path) => inside(path, 'UPDATE queue SET state = 9 WHERE sequence = 7'),
    'an invalid will': (path) =>
      inside(path, "INSERT INTO will VALUES ('a', 'a', 0, NULL, x'0102', NULL, NULL)"),
    'the format 0': (path) => inside(path, 'PRAGMA user_version = 0'),
  };
  for (const [name, damage] of Object.entries(damages)) {
    const folder = join(tempFolder(t), 'broker');
    await mkdir(folder);
    const path = join(folder, 'store.sqlite');
    await cp(whole, path);
    damage(path);
    await t.notThrowsAsync(() => assertRefused(t, path, 'store-damaged'), name);
  }
});

test('a damaged store with a write-ahead log prevents the start, and neither is changed', async (t) => {
  const folder = tempFolder(t);
  const live = await filledStore(folder);
  const store = await open(live);
  store.enqueue('a', deliveryOf(storedMessage('t', 'in the log')));
  await committed(store);
  // As after a kill: the database and the log, copied while the store is open.
  const killed = tempFolder(t);
  for (const end of ['', '-wal']) await cp(live + end, join(killed, `store.sqlite${end}`));
  await store.close();
  const path = join(killed, 'store.sqlite');
  t.true(statSync(`${path}-wal`).size > 0);
  const intact = tempFolder(t);
  for (const end of ['', '-wal']) await cp(path + end, join(intact, `store.sqlite${end}`));
  overwrite(path, 4096 * 5, Buffer.alloc(4096, 0xa5));
  await assertRefused(t, path, 'store-damaged');
  // The counter-test: the same files without the damage can be opened, including the log.
  const reopened = await open(join(intact, 'store.sqlite'));
  t.is((await wholeQueue(reopened, 'a')).at(-1)?.message.payload.toString(), 'in the log');
  await reopened.close();
});

test('a store that another process uses is not opened and keeps working', async (t) => {
  const path = join(tempFolder(t), 'store.sqlite');
  const first = await open(path);
  first.putSession(sessionRecord('a'));
  await committed(first);
  const error = await t.throwsAsync(open(path));
  t.true(isFlotillaError(error, 'store-in-use'), String(error));
  first.enqueue('a', deliveryOf(storedMessage('t')));
  await committed(first);
  t.is((await wholeQueue(first, 'a')).length, 1);
  await first.close();
  const second = await open(path);
  t.is(second.queueOf('a').messages, 1);
  await second.close();
});

test('a new store is readable only by its owner, and files of an interrupted start are replaced', async (t) => {
  const folder = join(tempFolder(t), 'deep', 'broker');
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const path = join(folder, 'store.sqlite');
  writeFileSync(`${path}.new`, 'half a database');
  const store = await open(path);
  store.putSession(sessionRecord('a'));
  await committed(store);
  for (const name of readdirSync(folder)) t.is(statSync(join(folder, name)).mode & 0o077, 0, name);
  await store.close();
  t.deepEqual(readdirSync(folder), ['store.sqlite']);
});

test('an error is reported when the store cannot be created', async (t) => {
  const file = join(tempFolder(t), 'file');
  writeFileSync(file, '');
  const error = await t.throwsAsync(open(join(file, 'store.sqlite')));
  t.true(isFlotillaError(error, 'store-open-failed'), String(error));
});

function overwrite(path: string, at: number, bytes: Buffer): void {
  const content = readFileSync(path);
  bytes.copy(content, at);
  writeFileSync(path, content);
}

function inside(path: string, sql: string): void {
  const database = new DatabaseSync(path);
  database.exec(sql);
  database.close();
}
