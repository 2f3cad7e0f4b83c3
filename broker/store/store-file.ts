/**
 * The database file of the durable store: created atomically, checked before it is changed, and locked
 * while it is open. Runs on the writing thread with blocking calls.
 *
 * @module
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { pathToFileURL } from 'node:url';
import { FlotillaError, messageOf } from '../../core/errors/flotilla-error.ts';
import { formatOf } from './read-contents.ts';
import { applicationId, formatVersion, schema, upgrades } from './schema.ts';

/** Files up to this size are checked completely. For larger ones, only the data that is read. */
const checkMaxBytes = 128 * 1024 * 1024;

/**
 * Creates the file if it does not exist. An empty file, or a log without its database, is what is left of another
 * store: it is never replaced.
 *
 * @throws FlotillaError `store-damaged`, `store-open-failed`
 */
export function createStoreFile(path: string): void {
  const bytes = statSync(path, { throwIfNoEntry: false })?.size;
  if (bytes === 0) throw damaged(path, 'the file is empty');
  if (bytes !== undefined) return;
  const log = `${path}-wal`;
  if ((statSync(log, { throwIfNoEntry: false })?.size ?? 0) > 0) {
    throw damaged(path, `the file is missing, but there is ${log}`);
  }
  const beside = `${path}.new`;
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    for (const end of ['', '-wal', '-shm', '-journal']) rmSync(beside + end, { force: true });
    closeSync(openSync(beside, 'wx', 0o600));
    const database = new DatabaseSync(beside);
    try {
      database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; BEGIN; ${schema}
        PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${formatVersion}; COMMIT;`);
    } finally {
      // This is the only connection, so closing it writes everything to the file itself.
      database.close();
    }
    renameSync(beside, path);
    const folder = openSync(dirname(path), 'r');
    fsyncSync(folder);
    closeSync(folder);
  } catch (error) {
    throw new FlotillaError('store-open-failed', {
      detail: `${path}: ${messageOf(error)}`,
      cause: error,
    });
  }
}

/**
 * Opens the file read-only, checks its application id, version and structure, and calls `look`. Changes
 * nothing, and leaves no other file behind.
 *
 * @throws FlotillaError `store-newer`, `store-damaged`, `store-in-use`, `store-open-failed`
 */
export function inspectStoreFile<T>(path: string, look: (database: DatabaseSync) => T): T {
  checkHeader(path);
  // Without a write-ahead log the file is complete: opened as immutable, SQLite creates no other files.
  const hasLog = (statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0) > 0;
  const hadIndex = existsSync(`${path}-shm`);
  const url = pathToFileURL(path);
  if (!hasLog) url.searchParams.set('immutable', '1');
  return withCatalogueErrors(path, () => {
    const database = new DatabaseSync(url, { readOnly: true });
    try {
      if (statSync(path).size <= checkMaxBytes) {
        const [result] = database.prepare('PRAGMA quick_check(1)').all();
        if (result?.['quick_check'] !== 'ok') {
          throw damaged(path, String(result?.['quick_check']));
        }
      }
      return look(database);
    } finally {
      database.close();
      if (hasLog && !hadIndex) rmSync(`${path}-shm`, { force: true });
    }
  });
}

/**
 * Opens the file for writing, locks it, and upgrades it if an earlier version has written it.
 *
 * @throws FlotillaError `store-damaged`, `store-in-use`, `store-open-failed`
 */
export function openStoreFile(path: string): DatabaseSync {
  return withCatalogueErrors(path, () => {
    const database = new DatabaseSync(path);
    try {
      // Exclusive: no second broker, and no shared-memory file. The transaction acquires the lock.
      database.exec(`PRAGMA locking_mode = EXCLUSIVE; PRAGMA synchronous = FULL;
        PRAGMA cache_size = -16000; PRAGMA temp_store = MEMORY;
        PRAGMA journal_size_limit = 67108864; BEGIN IMMEDIATE;`);
      for (let format = formatOf(database); format < formatVersion; format++) {
        database.exec(`${upgrades.get(format) ?? ''} PRAGMA user_version = ${format + 1};`);
      }
      database.exec('COMMIT');
      return database;
    } catch (error) {
      database.close();
      throw error;
    }
  });
}

/**
 * Calls `run` and converts errors of SQLite to errors of the catalogue.
 *
 * @throws FlotillaError `store-damaged`, `store-in-use`, `store-open-failed`
 */
function withCatalogueErrors<T>(path: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof FlotillaError) throw error;
    if (error instanceof RangeError) throw damaged(path, error.message, error);
    const number = error instanceof Error && 'errcode' in error ? Number(error.errcode) & 0xff : 0;
    // SQLITE_CORRUPT, SQLITE_NOTADB, and SQLITE_ERROR (a table does not exist).
    if (number === 11 || number === 26 || number === 1) {
      throw damaged(path, messageOf(error), error);
    }
    // SQLITE_BUSY, SQLITE_LOCKED.
    const code = number === 5 || number === 6 ? 'store-in-use' : 'store-open-failed';
    throw new FlotillaError(code, { detail: `${path}: ${messageOf(error)}`, cause: error });
  }
}

function checkHeader(path: string): void {
  const header = Buffer.alloc(100);
  let read: number;
  try {
    const file = openSync(path, 'r');
    try {
      read = readSync(file, header, 0, header.length, 0);
    } finally {
      closeSync(file);
    }
  } catch (error) {
    throw new FlotillaError('store-open-failed', { detail: path, cause: error });
  }
  if (read < header.length || header.toString('latin1', 0, 16) !== 'SQLite format 3\0') {
    throw damaged(path, 'the file is not a database');
  }
  if (header.readUInt32BE(68) !== applicationId)
    throw damaged(path, 'the file is not a session store');
  const version = header.readUInt32BE(60);
  if (version > formatVersion) {
    throw new FlotillaError('store-newer', {
      detail: `${path} has format ${version}, this version supports ${formatVersion}`,
    });
  }
  if (version < 1) throw damaged(path, `invalid format ${version}`);
}

function damaged(path: string, detail: string, cause?: unknown): FlotillaError {
  return new FlotillaError('store-damaged', { detail: `${path}: ${detail}`, cause });
}
