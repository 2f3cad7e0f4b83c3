/**
 * The registry: the one place where the enrollment service keeps what it knows. This is the
 * contract; `lowdb-registry.ts` is the embedded default, and test/contract/registry.ts holds every
 * implementation to what stands here.
 *
 * **Atomicity.** A {@link Change} takes effect as a whole or not at all, also when the process is
 * killed or the machine loses power at any moment. One enrollment (the token is used up, the device
 * has a certificate, the answer can be asked for again) is one change.
 *
 * **Durability.** When the promise of {@link Registry.commit} resolves, the change survives a power
 * cut, and the change's events have been handed to the sink and are durable there. Nothing that
 * depends on a change may leave the process before.
 *
 * **Concurrency.** Optimistic. A reader remembers the `version` of what it read; its change names
 * it in `expected`; when any row has another version by then, the whole change is refused with
 * `registry-conflict` and the caller reads again and decides anew ({@link retryOnConflict} does so). A
 * version is never used twice for a key, not even after the row was deleted. Reads may show changes
 * that are not durable yet; whoever answers from such a read alone first awaits {@link
 * Registry.settled}.
 *
 * **Uniqueness.** Over all rows of `devices`, a certificate's serial belongs to one identity, and a
 * key fingerprint belongs to one identity (but may stand in several certificates of it). A change
 * that would break this is refused with `registry-conflict`.
 *
 * **Cost.** A commit costs the same at ten rows and at a million: it may not write what it did not
 * change. Concurrent commits share flushes. `get`, `holderOfSerial`, `holderOfKey` are constant
 * time. `list` may walk all devices but does not hold up other work for more than 50 ms at 100,000.
 *
 * **Errors.** `registry-conflict` (try again), `registry-unavailable` (not written, nothing
 * changed), `registry-damaged` (at opening: what is on the disk is not what was written).
 *
 * @module
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { DeviceId } from '../../core/device-id.ts';
import { FlotillaError, isFlotillaError } from '../../core/errors/flotilla-error.ts';
import type { AuditEvent } from '../audit/audit-event.ts';
import type { DeviceRecord, TableName, Tables, TokenRecord } from './records.ts';

/** A row as it was read. */
export type Stored<T> = T & { readonly version: number };

/** A row to write. `expected`: the version that was read; 0: there must be none. */
export type Put = {
  [T in TableName]: { readonly table: T; readonly record: Tables[T]; readonly expected: number };
}[TableName];

/** A row to delete. `expected` as for {@link Put}; there must be one. */
export interface Deletion {
  readonly table: TableName;
  readonly key: string;
  readonly expected: number;
}

/** What happens together. Each row at most once. */
export interface Change {
  readonly puts?: readonly Put[];
  readonly deletions?: readonly Deletion[];
  /** Lines for the audit log that stand or fall with the change. */
  readonly events?: readonly AuditEvent[];
}

/** What happened, in the order of commits. Told once it is durable, before its promise resolves. */
export interface Committed {
  /** Grows by one with each commit, also across restarts. */
  readonly number: number;
  readonly puts: readonly Put[];
  readonly deletions: readonly Deletion[];
}

/** Which devices, and from where on. All conditions must hold. */
export interface DeviceQuery {
  /** The last id of the page before; ids above it follow, in the order of their bytes. */
  readonly after?: string;
  readonly limit: number;
  readonly idPrefix?: string;
  readonly group?: string;
  readonly role?: string;
  readonly status?: DeviceRecord['status'];
  readonly attributes?: Readonly<Record<string, string>>;
  /** Only identities whose newest active certificate ends before this time. */
  readonly expiresBeforeMs?: number;
}

export interface DevicePage {
  readonly devices: readonly Stored<DeviceRecord>[];
  /** The `after` of the next page; null at the end. */
  readonly next: string | null;
}

export interface Registry {
  /** The number of the newest commit that is durable; a row's version is that of its commit. */
  readonly number: number;
  get<T extends TableName>(table: T, key: string): Promise<Stored<Tables[T]> | undefined>;
  /** The identity that has a certificate of this serial number (lower-case hexadecimal). */
  holderOfSerial(serial: string): Promise<Stored<DeviceRecord> | undefined>;
  /** The identity that has a certificate over this key. */
  holderOfKey(keyFingerprint: string): Promise<DeviceId | undefined>;
  /** The tokens that were made for one identity. */
  tokensOf(device: DeviceId): Promise<readonly Stored<TokenRecord>[]>;
  list(query: DeviceQuery): Promise<DevicePage>;
  /**
   * All rows of a table, in no order. Rows changed meanwhile come in their old or new state; rows
   * untouched meanwhile come exactly once. Gives way to other work after each ms, the time that the
   * reader spends on the rows included.
   */
  rows<T extends TableName>(table: T): AsyncIterable<Stored<Tables[T]>>;
  /** How many rows a table has. */
  count(table: TableName): Promise<number>;
  /** Gives the commit's number. */
  commit(change: Change): Promise<number>;
  /** Resolves when everything that reads show now is durable. */
  settled(): Promise<void>;
  /** Calls for each commit until the returned function is called. A listener must not throw. */
  watch(listener: (committed: Committed) => void): () => void;
  /** Writes what is left and gives the files back. */
  close(): Promise<void>;
}

/** How often a decision is made anew before the caller hears of the conflict. */
const attemptsMax = 20;

/**
 * Runs a read-decide-commit cycle until no other change came between.
 *
 * @throws FlotillaError `registry-conflict` after twenty times in a row
 */
export async function retryOnConflict<T>(decide: () => Promise<T>): Promise<T> {
  for (let left = attemptsMax; ; left--) {
    try {
      return await decide();
    } catch (error) {
      if (left <= 1 || !isFlotillaError(error, 'registry-conflict')) throw error;
      // Those who collided must not come back in step: most of them would collide again.
      await delay(Math.random() * Math.min(32, 2 ** (attemptsMax - left)));
    }
  }
}

/** Why a change was refused. */
export function conflict(table: TableName, key: string): FlotillaError {
  return new FlotillaError('registry-conflict', { detail: `${table} ${key}` });
}
