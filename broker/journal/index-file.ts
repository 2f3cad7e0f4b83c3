/**
 * The local file beside the journal: an index from which messages are read. The journal has everything in it, so it is
 * created again at each start and never flushed.
 *
 * @module
 */
import { rmSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { FlotillaError, messageOf } from '../../core/errors/flotilla-error.ts';
import { createStoreFile } from '../store/store-file.ts';

/** Replaces the file by an empty one. @throws FlotillaError `store-open-failed` */
export function createIndex(path: string): DatabaseSync {
  try {
    for (const end of ['', '-wal', '-shm']) rmSync(path + end, { force: true });
    createStoreFile(path);
    const database = new DatabaseSync(path);
    database.exec(`PRAGMA synchronous = OFF; PRAGMA cache_size = -16000;
      PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = 67108864;`);
    return database;
  } catch (error) {
    if (error instanceof FlotillaError) throw error;
    throw new FlotillaError('store-open-failed', { detail: `${path}: ${messageOf(error)}` });
  }
}

/** A second connection that sees the file as it is now, until `close`, while the first one writes. */
export function snapshotOf(path: string): DatabaseSync {
  const database = new DatabaseSync(path, { readOnly: true });
  try {
    database.exec('BEGIN');
    // The snapshot begins with the first read.
    database.prepare('SELECT count(*) FROM sqlite_schema').get();
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}
