/**
 * The registry in PostgreSQL, for an instance that can be replaced by another one on another machine.
 *
 * **Reads** come from memory, as in the embedded registry: one instance is active, and nothing changes the rows without
 * it. A term begins with reading all rows.
 *
 * **Commit.** 1. Versions and uniqueness are checked and the change is applied in memory, in one turn of the event loop.
 * 2. All changes that wait, and the lines of the audit log, become one statement, which is one transaction
 * (registry-tables.ts). While it is under way, the next ones gather. 3. When it is durable, the lines are handed on,
 * watchers are called and promises resolve. If the server refuses the statement, or is away for too long before it
 * was sent, the changes of the batch and all later ones are undone in reverse order. A lost connection is no refusal:
 * database-term.ts finds out whether the statement took effect.
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';
import type { DeviceId } from '../../core/device-id.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { chainedLines, type ChainEnd, type UnwrittenEvent } from '../audit/audit-chain.ts';
import type { AuditEvent } from '../audit/audit-event.ts';
import { MemoryRegistry, type PendingChange } from '../registry/memory-registry.ts';
import type { TableName } from '../registry/records.ts';
import { recentDevices } from '../registry/recent-devices.ts';
import type { Change, RecentDevices } from '../registry/registry.ts';
import { keyOfRow, RegistryRows, tableNames, type AnyRow } from '../registry/registry-rows.ts';
import type { DatabaseTerm } from '../../core/database/database-term.ts';
import { writeRows, type RowWrites } from './registry-tables.ts';
import { readRemovals, type RemovalList } from './removals.ts';

const batchMaxChanges = 1000;
const pageRows = 5000;

/** A change, or events without one, on the way to the database. */
interface Unwritten extends PendingChange {
  readonly atMs: number;
}

export interface PostgresRegistryDeps {
  readonly term: DatabaseTerm;
  readonly clock: Clock;
  /** The end of the audit log; other than that of the term when lines were added to it since. */
  readonly auditEnd: ChainEnd;
  /** The number of the newest commit; other than that of the term when commits were lost. */
  readonly number: number;
  /** Gets the lines of the audit log once they are durable, before promises resolve. Must not throw. */
  readonly written: (lines: readonly string[]) => Promise<void>;
}

export class PostgresRegistry extends MemoryRegistry {
  readonly #deps: PostgresRegistryDeps;
  #auditEnd: ChainEnd;
  #waiting: Unwritten[] = [];
  #writing: Promise<void> | undefined;
  #isClosed = false;
  /** Until they are read; undefined afterward. */
  #removals: RemovalList | undefined;

  private constructor(deps: PostgresRegistryDeps) {
    super(() => RegistryRows.inMemory());
    this.#deps = deps;
    this.#auditEnd = deps.auditEnd;
    this.newest = deps.number;
    this.durability.reset(deps.number);
  }

  /** Reads all rows. @throws FlotillaError `database-unreachable`, `registry-damaged` */
  static async open(deps: PostgresRegistryDeps): Promise<PostgresRegistry> {
    const registry = new PostgresRegistry(deps);
    for (const table of tableNames) await registry.#load(table);
    registry.held.index();
    registry.#removals = await readRemovals(deps.term, deps.number);
    return registry;
  }

  recentDevices(max: number): RecentDevices | undefined {
    const removals = this.#removals;
    this.#removals = undefined;
    if (removals === undefined) return undefined;
    const { held } = this;
    return recentDevices(
      () => held.all('devices'),
      (id) => held.row('devices', id),
      removals,
      max,
    );
  }

  async #load(table: TableName): Promise<void> {
    let after = '';
    for (;;) {
      const page = await this.#deps.term.read<{ key: string; version: string; body: string }>(
        `SELECT key, version, body FROM flotilla.registry_row
         WHERE kind = $1 AND key > $2 ORDER BY key LIMIT ${pageRows}`,
        [table, after],
      );
      const put = page.map(({ key, version, body }) => {
        try {
          // A cast at the boundary to JSON: `commit` below has written the row.
          const row = { ...JSON.parse(body), version: Number(version) } as AnyRow;
          return [table, row] as const;
        } catch (error) {
          throw new FlotillaError('registry-damaged', { detail: `${table} ${key}`, cause: error });
        }
      });
      this.held.replay({ put, del: [] });
      const last = page.at(-1);
      if (last === undefined || page.length < pageRows) return;
      after = last.key;
    }
  }

  /** The last line of the audit log that is durable. */
  get auditEnd(): ChainEnd {
    return this.#auditEnd;
  }

  commit(change: Change): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#assertWritable();
      const { number, undo } = this.apply(change);
      this.#add({ number, atMs: this.#deps.clock.now(), change, undo, resolve, reject });
    });
  }

  /** Writes lines of the audit log that belong to no change. @throws FlotillaError `registry-unavailable` */
  async record(events: readonly AuditEvent[]): Promise<void> {
    await new Promise<number>((resolve, reject) => {
      this.#assertWritable();
      const atMs = this.#deps.clock.now();
      this.#add({ number: undefined, atMs, change: { events }, undo: [], resolve, reject });
    });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#writing;
  }

  #assertWritable(): void {
    if (this.#isClosed || this.#deps.term.isAway) throw new FlotillaError('registry-unavailable');
  }

  #add(one: Unwritten): void {
    this.#waiting.push(one);
    this.#startWriting();
  }

  #startWriting(): void {
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined;
      // Changes that were added after the last check of the loop.
      if (this.#waiting.length > 0) this.#startWriting();
    });
  }

  async #write(): Promise<void> {
    // All other changes of this turn share the transaction.
    await Promise.resolve();
    while (this.#waiting.length > 0)
      await this.#writeBatch(this.#waiting.splice(0, batchMaxChanges));
  }

  async #writeBatch(batch: readonly Unwritten[]): Promise<void> {
    const events = batch.flatMap(({ number, atMs, change }) =>
      (change.events ?? []).map((event): UnwrittenEvent => ({ event, atMs, commit: number })),
    );
    const { texts: chained, end } = chainedLines(events, this.#auditEnd);
    const texts = chained.map((text) => text.trimEnd());
    const newest = batch.findLast(({ number }) => number !== undefined)?.number;
    const lines = texts.map((text, at) => ({
      ...{ seq: this.#auditEnd.seq + 1 + at, commit: events[at]?.commit },
      text,
    }));
    try {
      await this.#deps.term.write(
        writeRows({
          number: newest ?? this.durability.number,
          ...{ auditSeq: end.seq, auditHash: end.hash },
          ...this.#changesOf(batch),
          lines,
        }),
      );
    } catch (error) {
      this.takeBack([...batch, ...this.#waiting.splice(0)], error);
      return;
    }
    this.#auditEnd = end;
    this.#keepRemovals(batch);
    await this.#deps.written(texts);
    this.confirm(batch);
  }

  #keepRemovals(batch: readonly Unwritten[]): void {
    if (this.#removals === undefined) return;
    for (const { key, commit } of removalsOf(batch)) {
      // A cast at the boundary of the tables: the key of an identity is its id.
      this.#removals.commits.set(key as DeviceId, commit);
    }
  }

  /** The state of each row after the whole batch. */
  #changesOf(batch: readonly Unwritten[]): Pick<RowWrites, 'puts' | 'deletions' | 'removals'> {
    const puts = new Map<string, RowWrites['puts'][number]>();
    const deletions = new Map<string, RowWrites['deletions'][number]>();
    for (const { number: version = 0, change } of batch) {
      for (const { table, record } of change.puts ?? []) {
        const key = keyOfRow(table, record);
        const name = `${table} ${key}`;
        deletions.delete(name);
        puts.set(name, { table, key, version, body: JSON.stringify(record) });
      }
      for (const { table, key } of change.deletions ?? []) {
        puts.delete(`${table} ${key}`);
        deletions.set(`${table} ${key}`, { table, key });
      }
    }
    const removals = removalsOf(batch);
    return { puts: [...puts.values()], deletions: [...deletions.values()], removals };
  }
}

function removalsOf(batch: readonly Unwritten[]): RowWrites['removals'] {
  return batch.flatMap(({ number: commit = 0, change }) =>
    (change.deletions ?? [])
      .filter(({ table }) => table === 'devices')
      .map(({ key }) => ({ key, commit })),
  );
}
