/**
 * The session store whose journal is in the database that `broker.database` names, so that a broker on another machine
 * can continue with it.
 *
 * @module
 */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../core/clock.ts';
import type { Config } from '../../core/config/config.ts';
import { databaseAccess } from '../../core/database/database-connection.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { Logger } from '../../core/log.ts';
import type { StateFolder } from '../../core/state-folder.ts';
import { workerModule } from '../../core/worker-module.ts';
import { openDurableStore } from '../store/durable-store.ts';
import { storeLimits } from '../store/open-store.ts';
import type { SessionStore } from '../store/session-store.ts';
import { countStore } from '../store/store-counts.ts';
import { brokerInstance, fleetRoots } from './fleet-claim.ts';
import { storeNameOf, type StorePartition } from './store-layout.ts';
import type { JournalFacts, JournalNotice, JournalThreadData } from './journal-thread.ts';

export interface DatabaseStoreDeps {
  readonly state: StateFolder;
  readonly clock: Clock;
  readonly log: Logger;
  readonly times?: JournalThreadData['times'];
}

/** How a broker waits while another one is active. */
export interface BrokerStandby {
  /** Resolves when it should not wait any more. */
  readonly stop: Promise<unknown>;
  /** Called with the name of the active broker, again and again. */
  readonly waiting: (active: string) => void;
}

/** An open store, of which this broker is the active one. */
export interface DatabaseStore {
  readonly store: SessionStore;
  /** Resolves when this broker must not continue. */
  readonly failed: Promise<FlotillaError>;
  /** Calls with the duration of each later commit, in ms. */
  onCommit(listener: (tookMs: number) => void): void;
  onStall(listener: (reason: string | undefined) => void): void;
  readonly facts: () => JournalFacts;
}

/**
 * Opens the store in the configured database, as its active broker.
 *
 * @param partition the store of one partition; without it the store for all sessions
 * @param standby waits while another broker is active; without it `database-in-use` is thrown
 * @returns undefined when no database is configured, or `standby.stop` resolved first
 * @throws FlotillaError `config-invalid`, `database-…`, `journal-damaged`, `store-…`, `cluster-partitions-differ`
 */
export async function openDatabaseStore(
  config: Config,
  { state, clock, log, times }: DatabaseStoreDeps,
  standby?: BrokerStandby,
  partition?: StorePartition,
): Promise<DatabaseStore | undefined> {
  const access = await databaseAccess(config.broker);
  if (access === undefined) return undefined;
  if (config.broker.store === 'memory') {
    const detail = 'broker.store is memory, and broker.database is set: remove one of them';
    throw new FlotillaError('config-invalid', { detail });
  }
  await assertNoSessions(state.broker.store);
  const roots = await fleetRoots(state);
  const failed = Promise.withResolvers<FlotillaError>();
  const abandon = new AbortController();
  let facts: JournalFacts | undefined;
  let committed: (tookMs: number) => void = () => undefined;
  let stallChanged: (reason: string | undefined) => void = () => undefined;
  const workerData: JournalThreadData = {
    path:
      partition === undefined
        ? state.broker.storeIndex
        : join(state.broker.partitionIndexes, `${partition.name}.sqlite`),
    ...{ access, roots, times, partition },
    instance: brokerInstance(state),
    waits: standby !== undefined,
  };
  let isOpen = false;
  void standby?.stop.then(() => {
    if (!isOpen) abandon.abort();
  });
  try {
    const store = await openDurableStore({
      ...{ path: workerData.path, limits: storeLimits(config.limits.broker), clock, workerData },
      worker: workerModule('./journal-worker', import.meta.url),
      abandon: abandon.signal,
      failed: failed.resolve,
      committed: (tookMs) => committed(tookMs),
      stallChanged: (reason) => stallChanged(reason),
      noticed(notice) {
        // Only journal-worker.ts sends notices.
        const message = notice as JournalNotice;
        if (message.type === 'standby') standby?.waiting(message.active);
        else if (message.type === 'facts') facts = message.facts;
        else logLine(log, message.line);
      },
    });
    isOpen = true;
    return {
      store,
      failed: failed.promise,
      onCommit: (listener) => (committed = listener),
      onStall: (listener) => (stallChanged = listener),
      facts: () => facts ?? { store: storeNameOf(partition), ...noFacts },
    };
  } catch (error) {
    if (abandon.signal.aborted) return undefined;
    throw error;
  }
}

/** Before the first ones arrive. */
const noFacts: Omit<JournalFacts, 'store'> = {
  term: 0,
  isConnected: false,
  journalBytes: 0,
  checkpointAtMs: 0,
  checkpointMs: 0,
  checkpointRows: 0,
};

/**
 * Sessions in a file would be forgotten without a word.
 *
 * @throws FlotillaError `store-not-imported`, `store-…`
 */
async function assertNoSessions(path: string): Promise<void> {
  if ((await stat(path).catch(() => undefined)) === undefined) return;
  const { sessions, retained, wills } = countStore(path);
  if (sessions + retained + wills === 0) return;
  throw new FlotillaError('store-not-imported', {
    detail: `${path} has ${sessions} sessions, ${retained} retained messages and ${wills} wills`,
  });
}

const levels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const;

/** Writes a line of the other thread to the log of the broker. */
function logLine(log: Logger, line: string): void {
  // The other thread has written the line with the same library.
  const { level, msg, ...fields } = JSON.parse(line) as Record<string, unknown>;
  log[levels.find((one) => one === level) ?? 'info']({ ...fields, time: undefined }, String(msg));
}
