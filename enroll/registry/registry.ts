/**
 * The registry: the only place where the enrollment service stores its data. This file is the contract;
 * `lowdb-registry.ts` is the embedded default, and test/contract/registry.ts tests every implementation.
 *
 * **Atomicity.** A {@link Change} takes effect completely or not at all, also when the process is killed or
 * the machine loses power at any moment. One enrollment (the token is used, the device has a certificate, the
 * result is kept for a repetition) is one change.
 *
 * **Durability.** When the promise of {@link Registry.commit} resolves, the change survives a power failure,
 * and the change's events have been handed to the sink and are durable there. Nothing that depends on a
 * change may leave the process earlier.
 *
 * **Concurrency.** Optimistic. A reader remembers the `version` of each row that it read, and its change
 * names these versions in `expected`. If a row has another version by then, the whole change is refused with
 * `registry-conflict`, and the caller reads again and decides again ({@link retryOnConflict} does so). A
 * version is never used twice for a key, not even after the row was deleted. Reads may return changes that
 * are not durable yet; a caller that responds from such a read alone must first await {@link
 * Registry.settled}.
 *
 * **Uniqueness.** Over all rows of `devices`, a certificate's serial number belongs to one identity, and a
 * key fingerprint belongs to one identity (but may be in several of its certificates). A change that would
 * break this is refused with `registry-conflict`.
 *
 * **Cost.** A commit costs the same with ten rows and with a million: it must not write rows that it does not
 * change. Concurrent commits share flushes. `get`, `holderOfSerial` and `holderOfKey` take constant time.
 * `list` may visit all devices, but does not block other work for more than 50 ms with 100,000.
 *
 * **Errors.** `registry-conflict` (try again), `registry-unavailable` (not written, nothing changed),
 * `registry-damaged` (at opening: the data on the disk is not what was written).
 *
 * @module
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { DeviceId } from '../../core/device-id.ts';
import { FlotillaError, isFlotillaError } from '../../core/errors/flotilla-error.ts';
import type { AuditEvent } from '../audit/audit-event.ts';
import type { DeviceRecord, RequestRecord, TableName, Tables, TokenRecord } from './records.ts';

/** A row as it was read. */
export type Stored<T> = T & { readonly version: number };

/** A row to write. `expected` is the version that was read; 0: the row must not exist. */
export type Put = {
  [T in TableName]: { readonly table: T; readonly record: Tables[T]; readonly expected: number };
}[TableName];

/** A row to delete. `expected` as for {@link Put}; the row must exist. */
export interface Deletion {
  readonly table: TableName;
  readonly key: string;
  readonly expected: number;
}

/** The newest changes of identities. */
export interface RecentDevices {
  /** All changes of later commits are here. */
  readonly after: number;
  /** The last change of each identity, oldest first. `record` is undefined when it was deleted. */
  readonly changes: readonly {
    readonly commit: number;
    readonly id: DeviceId;
    readonly record: DeviceRecord | undefined;
  }[];
}

/** Writes and deletions that happen together. Each row at most once. */
export interface Change {
  readonly puts?: readonly Put[];
  readonly deletions?: readonly Deletion[];
  /** Events for the audit log, written if and only if the change is. */
  readonly events?: readonly AuditEvent[];
}

/** A commit, reported in order, once it is durable and before its promise resolves. */
export interface Committed {
  /** Grows by one with each commit, also across restarts. */
  readonly number: number;
  readonly puts: readonly Put[];
  readonly deletions: readonly Deletion[];
}

/** A query for one page of devices. All conditions must match. */
export interface DeviceQuery {
  /** The last id of the previous page. Ids above it follow, in the order of their bytes. */
  readonly after?: string;
  readonly limit: number;
  readonly idPrefix?: string;
  readonly group?: string;
  /** The role in the policy. */
  readonly role?: string;
  /** What it is: `device`, `service`, ... */
  readonly kind?: string;
  readonly status?: DeviceRecord['status'];
  readonly attributes?: Readonly<Record<string, string>>;
  /** Only identities whose newest active certificate expires before this time. */
  readonly expiresBeforeMs?: number;
}

export interface DevicePage {
  readonly devices: readonly Stored<DeviceRecord>[];
  /** The `after` for the next page; null at the end. */
  readonly next: string | null;
}

export interface Registry {
  /** The number of the newest durable commit; the version of a row is the number of its commit. */
  readonly number: number;
  get<T extends TableName>(table: T, key: string): Promise<Stored<Tables[T]> | undefined>;
  /** The identity that has a certificate of this serial number (lower-case hexadecimal). */
  holderOfSerial(serial: string): Promise<Stored<DeviceRecord> | undefined>;
  /** The identity that has a certificate over this key. */
  holderOfKey(keyFingerprint: string): Promise<DeviceId | undefined>;
  /** The tokens that were created for one identity. */
  tokensOf(device: DeviceId): Promise<readonly Stored<TokenRecord>[]>;
  /** The enrollment requests for an identity, pending or decided. */
  requestsOf(device: DeviceId): Promise<readonly Stored<RequestRecord>[]>;
  list(query: DeviceQuery): Promise<DevicePage>;
  /**
   * All rows of a table, in no particular order. Rows that change during the iteration are returned in their
   * old or new state; all others are returned exactly once. Lets other work run after each millisecond,
   * including the time that the reader spends on the rows.
   */
  rows<T extends TableName>(table: T): AsyncIterable<Stored<Tables[T]>>;
  /** The number of rows of a table. */
  count(table: TableName): Promise<number>;
  /** Returns the number of the commit. */
  commit(change: Change): Promise<number>;
  /**
   * The newest changes of identities, deletions included, at most `max`. To be called at the start, when nothing is
   * being written, and once. Undefined, or no method: the registry does not keep deletions.
   */
  recentDevices?(max: number): RecentDevices | undefined;
  /** Resolves when everything that reads return now is durable. */
  settled(): Promise<void>;
  /** Calls for each commit until the returned function is called. A listener must not throw. */
  watch(listener: (committed: Committed) => void): () => void;
  /** Writes what is pending and closes the files. */
  close(): Promise<void>;
}

/** How often a decision is made before the caller gets the conflict. */
const attemptsMax = 20;

/**
 * Repeats a read-decide-commit cycle until no other change interferes.
 *
 * @throws FlotillaError `registry-conflict` after twenty attempts
 */
export async function retryOnConflict<T>(decide: () => Promise<T>): Promise<T> {
  for (let left = attemptsMax; ; left--) {
    try {
      return await decide();
    } catch (error) {
      if (left <= 1 || !isFlotillaError(error, 'registry-conflict')) throw error;
      // A random delay, because callers that retry at the same time would mostly collide again.
      await delay(Math.random() * Math.min(32, 2 ** (attemptsMax - left)));
    }
  }
}

/** The error for a change that is refused. */
export function conflict(table: TableName, key: string): FlotillaError {
  return new FlotillaError('registry-conflict', { detail: `${table} ${key}` });
}
