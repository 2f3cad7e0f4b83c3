/**
 * A session store whose journal is in a database of the tests.
 *
 * @module
 */
import { parseDatabaseUrl } from '../../core/config/database-url.ts';
import type { JournalThreadData, JournalTimes } from '../../broker/journal/journal-thread.ts';
import { openDurableStore, type DurableStoreOptions } from '../../broker/store/durable-store.ts';
import type { SessionStore } from '../../broker/store/session-store.ts';

export interface JournalStoreOptions extends DurableStoreOptions {
  readonly url: string;
  readonly times?: Partial<JournalTimes>;
  readonly waits?: boolean;
  readonly instance?: string;
  readonly roots?: readonly string[];
  readonly partition?: JournalThreadData['partition'];
}

/** Checkpoints are written only when a test wants them. */
const noCheckpoints = { checkpointMs: 1_000_000, checkpointBytes: 1e12 };

/** Opens it as the active broker of the database. */
export function openJournalStore(options: JournalStoreOptions): Promise<SessionStore> {
  const { path, url, times = noCheckpoints, waits = false } = options;
  const workerData: JournalThreadData = {
    ...{ path, times, waits },
    access: { address: parseDatabaseUrl(url), password: undefined, ca: undefined },
    instance: options.instance ?? 'test',
    roots: options.roots ?? ['root'],
    partition: options.partition,
  };
  return openDurableStore({ ...options, worker: journalWorkerUrl, workerData });
}

const journalWorkerUrl = new URL('../../broker/journal/journal-worker.ts', import.meta.url);
