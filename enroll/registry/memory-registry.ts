/**
 * What both registries have in common: all rows are in memory, reads come from there, and a change is applied there in
 * one turn of the event loop before it is written. Where it is written is up to the class below.
 *
 * @module
 */
import type { DeviceId } from '../../core/device-id.ts';
import { listDevices } from './device-list.ts';
import { Durability } from './durability.ts';
import type { DeviceRecord, RequestRecord, TableName, Tables, TokenRecord } from './records.ts';
import type { Change, Committed, DevicePage, DeviceQuery, Registry, Stored } from './registry.ts';
import { keyOfRow, type AnyRow, type RegistryRows } from './registry-rows.ts';
import { inTurns } from './rows-in-turns.ts';

/** A change that is in memory, with the steps that undo it. */
export interface AppliedChange {
  /** The number of its commit. */
  readonly number: number;
  /** The rows as they are now, with their version. */
  readonly put: readonly (readonly [TableName, AnyRow])[];
  readonly del: readonly (readonly [TableName, string])[];
  readonly undo: readonly (() => void)[];
}

/** A change on its way to where it becomes durable. */
export interface PendingChange {
  /** Undefined: events without a change. */
  readonly number: number | undefined;
  readonly change: Change;
  readonly undo: readonly (() => void)[];
  readonly resolve: (number: number) => void;
  readonly reject: (error: unknown) => void;
}

export abstract class MemoryRegistry implements Registry {
  protected readonly held: RegistryRows;
  protected readonly durability = new Durability();
  /** The newest commit in memory. */
  protected newest = 0;
  readonly #watchers = new Set<(committed: Committed) => void>();

  /** @param held makes the rows; its argument resolves when all that they contain now is durable */
  protected constructor(held: (settled: () => Promise<void>) => RegistryRows) {
    this.held = held(() => this.settled());
  }

  abstract commit(change: Change): Promise<number>;
  abstract close(): Promise<void>;

  get number(): number {
    return this.durability.number;
  }

  get<T extends TableName>(table: T, key: string): Promise<Stored<Tables[T]> | undefined> {
    return Promise.resolve(this.held.row(table, key));
  }

  holderOfSerial(serial: string): Promise<Stored<DeviceRecord> | undefined> {
    const id = this.held.devices.bySerial(serial);
    return Promise.resolve(id === undefined ? undefined : this.held.row('devices', id));
  }

  holderOfKey(keyFingerprint: string): Promise<DeviceId | undefined> {
    return Promise.resolve(this.held.devices.byKey(keyFingerprint));
  }

  tokensOf(device: DeviceId): Promise<readonly Stored<TokenRecord>[]> {
    return Promise.resolve(this.held.tokensOf(device));
  }

  requestsOf(device: DeviceId): Promise<readonly Stored<RequestRecord>[]> {
    return Promise.resolve(this.held.requestsOf(device));
  }

  list(query: DeviceQuery): Promise<DevicePage> {
    return listDevices(this.held.devices, query);
  }

  rows<T extends TableName>(table: T): AsyncIterable<Stored<Tables[T]>> {
    return inTurns(this.held.all(table));
  }

  count(table: TableName): Promise<number> {
    return Promise.resolve(this.held.count(table));
  }

  settled(): Promise<void> {
    return this.durability.upTo(this.newest);
  }

  watch(listener: (committed: Committed) => void): () => void {
    this.#watchers.add(listener);
    return () => this.#watchers.delete(listener);
  }

  /**
   * Checks versions and uniqueness, and applies a change in memory.
   *
   * @throws FlotillaError when it does not fit; then nothing has changed
   */
  protected apply(change: Change): AppliedChange {
    this.held.assertFits(change);
    const number = ++this.newest;
    const undo: (() => void)[] = [];
    const put: [TableName, AnyRow][] = [];
    for (const { table, record } of change.puts ?? []) {
      const row = { ...record, version: number };
      put.push([table, row]);
      undo.push(this.held.set(table, keyOfRow(table, record), row));
    }
    const del: [TableName, string][] = [];
    for (const { table, key } of change.deletions ?? []) {
      del.push([table, key]);
      undo.push(this.held.set(table, key, undefined));
    }
    return { number, put, del, undo };
  }

  /** Reports a batch that is durable: to watchers, then to those who wait for it. */
  protected confirm(batch: readonly PendingChange[]): void {
    for (const { number, change, resolve } of batch) {
      if (number !== undefined) {
        this.durability.reset(number);
        for (const watcher of this.#watchers) {
          watcher({ number, puts: change.puts ?? [], deletions: change.deletions ?? [] });
        }
      }
      resolve(this.durability.number);
    }
    this.durability.advance(this.durability.number);
  }

  /**
   * Undoes changes that could not be written, newest first. Their numbers are not used again, so they count as
   * durable from here on: whoever waits for all that is in memory now waits for nothing that was undone.
   */
  protected takeBack(changes: readonly PendingChange[], error: unknown): void {
    for (const { undo } of changes.toReversed()) for (const step of undo.toReversed()) step();
    this.durability.reset(this.newest);
    for (const { reject } of changes) reject(error);
    this.durability.fail(error);
  }
}
