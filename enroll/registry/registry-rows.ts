/**
 * All rows of the embedded registry, in memory, distributed over the shards that store them on the disk, and
 * the indexes over them. It knows nothing about journals and durability.
 *
 * @module
 */
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { secretFolderMode } from '../../core/atomic-file.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { AuditEvent } from '../audit/audit-event.ts';
import { DeviceIndex } from './device-index.ts';
import { readManifest, writeManifest, type Manifest } from './manifest.ts';
import { OwnerIndex } from './owner-index.ts';
import {
  keyOf,
  type DeviceRecord,
  type RequestRecord,
  type TableName,
  type Tables,
  type TokenRecord,
} from './records.ts';
import { conflict, type Change, type Stored } from './registry.ts';
import { Shard } from './shard.ts';

/** A row of any table. */
export type AnyRow = Stored<Tables[TableName]>;

/** A line of the journal: one commit with complete rows. The names are those in the file. */
export interface JournalLine {
  /** The number of the commit. */
  readonly n: number;
  /** The time, in ms since 1970. */
  readonly at: number;
  readonly put: readonly (readonly [TableName, AnyRow])[];
  readonly del: readonly (readonly [TableName, string])[];
  readonly events: readonly AuditEvent[];
}

/**
 * How many files the rows of a table are distributed over. Fixed, because a row's shard is computed from its
 * key.
 */
const shardCounts: Readonly<Record<TableName, number>> = {
  devices: 64,
  tokens: 16,
  answers: 8,
  requests: 1,
  revocations: 16,
  blockedKeys: 1,
  factories: 1,
  operators: 1,
  apiKeys: 1,
  sessions: 1,
  documents: 1,
};

export const tableNames = [
  'devices',
  'tokens',
  'answers',
  'requests',
  'revocations',
  'blockedKeys',
  'factories',
  'operators',
  'apiKeys',
  'sessions',
  'documents',
] as const satisfies readonly TableName[];

export class RegistryRows {
  readonly devices = new DeviceIndex((id) => this.row('devices', id));
  /** Whether an earlier version wrote the files, which did not keep the number of the newest commit. */
  isLegacy = false;
  /** As it was read. */
  manifest: Manifest | undefined;
  readonly #folder: string;
  readonly #shards: Readonly<Record<TableName, readonly Shard[]>>;
  readonly #tokens = new OwnerIndex();
  readonly #requests = new OwnerIndex();

  /** @param beforeReplace awaited before the file of a shard is replaced by the state in memory */
  constructor(folder: string, beforeReplace: () => Promise<void>) {
    this.#folder = folder;
    const shards = (table: TableName): readonly Shard[] =>
      Array.from({ length: shardCounts[table] }, (_none, at) => {
        const name = `${String(at).padStart(2, '0')}.json`;
        return new Shard(folder, join(table, name), beforeReplace);
      });
    this.#shards = {
      devices: shards('devices'),
      tokens: shards('tokens'),
      answers: shards('answers'),
      requests: shards('requests'),
      revocations: shards('revocations'),
      blockedKeys: shards('blockedKeys'),
      factories: shards('factories'),
      operators: shards('operators'),
      apiKeys: shards('apiKeys'),
      sessions: shards('sessions'),
      documents: shards('documents'),
    };
  }

  /** Rows that no files store. */
  static inMemory(): RegistryRows {
    return new RegistryRows('', () => Promise.resolve());
  }

  /** Creates the folders of the tables, and removes what an interrupted write has left. */
  async prepare(): Promise<void> {
    await removeLeftovers(this.#folder);
    for (const table of tableNames) {
      const path = join(this.#folder, table);
      await mkdir(path, { recursive: true, mode: secretFolderMode });
      await removeLeftovers(path);
    }
  }

  /**
   * Reads every shard. Returns the newest version in them. @throws FlotillaError `registry-damaged`
   */
  async read(): Promise<number> {
    const manifest = await readManifest(this.#folder);
    this.manifest = manifest;
    await readAll(this.shards);
    this.#assertComplete(manifest);
    this.isLegacy = manifest === undefined && this.shards.some(({ exists }) => exists);
    let newest = manifest?.number ?? 0;
    for (const shard of this.shards) {
      for (const { version } of shard.rows.values()) newest = Math.max(newest, version);
    }
    return newest;
  }

  #assertComplete(manifest: Manifest | undefined): void {
    const existing = this.shards.filter(({ exists }) => exists);
    const names = new Set(existing.map(({ name }) => name));
    const missing = manifest?.shards.find((name) => !names.has(name));
    const isLost = manifest === undefined && existing.some(({ hasChecksum }) => hasChecksum);
    const fault = isLost ? 'manifest.json' : missing;
    if (fault === undefined) return;
    throw new FlotillaError('registry-damaged', {
      detail: `${join(this.#folder, fault)} is missing`,
    });
  }

  /** Records which files exist, and the newest commit in them. */
  async writeManifest(more: Omit<Manifest, 'shards'>): Promise<void> {
    const shards = this.shards.filter(({ exists }) => exists).map(({ name }) => name);
    await writeManifest(this.#folder, { ...more, shards });
  }

  /** Applies a line of the journal. Called before {@link index}. */
  replay({ put, del }: Pick<JournalLine, 'put' | 'del'>): void {
    for (const [table, row] of put) this.#replayRow(table, keyOfRow(table, row), row);
    for (const [table, key] of del) this.#replayRow(table, key, undefined);
  }

  #replayRow(table: TableName, key: string, row: AnyRow | undefined): void {
    const shard = this.#shard(table, key);
    if (row === undefined) shard.rows.delete(key);
    else shard.rows.set(key, row);
    shard.dirty = true;
  }

  /** Builds the indexes, once, when all rows are loaded. */
  index(): void {
    this.devices.fill(this.all('devices'));
    for (const { device, hash } of this.all('tokens')) this.#tokens.add(device, hash);
    for (const { device, id } of this.all('requests')) this.#requests.add(device, id);
  }

  /** The name of the file that a row is in. */
  fileOf(table: TableName, key: string): string {
    return this.#shard(table, key).name;
  }

  shardsOf(table: TableName): readonly Shard[] {
    return this.#shards[table];
  }

  get shards(): readonly Shard[] {
    return tableNames.flatMap((table) => this.#shards[table]);
  }

  /** The size of the files of all shards, in characters. */
  get bytes(): number {
    return this.shards.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  row<T extends TableName>(table: T, key: string): Stored<Tables[T]> | undefined {
    // A cast at the boundary of the tables: a shard of table T contains rows of table T only.
    return this.#shard(table, key).rows.get(key) as Stored<Tables[T]> | undefined;
  }

  *all<T extends TableName>(table: T): Generator<Stored<Tables[T]>> {
    for (const shard of this.#shards[table]) {
      // A cast at the boundary of the tables, as in `row`.
      for (const row of shard.rows.values()) yield row as Stored<Tables[T]>;
    }
  }

  count(table: TableName): number {
    return this.#shards[table].reduce((sum, { rows }) => sum + rows.size, 0);
  }

  tokensOf(device: string): readonly Stored<TokenRecord>[] {
    return this.#tokens.keysOf(device).flatMap((hash) => this.row('tokens', hash) ?? []);
  }

  requestsOf(device: string): readonly Stored<RequestRecord>[] {
    return this.#requests.keysOf(device).flatMap((id) => this.row('requests', id) ?? []);
  }

  /** @throws FlotillaError `registry-conflict` when a change expects other rows than there are */
  assertFits({ puts = [], deletions = [] }: Change): void {
    for (const { table, record, expected } of puts) {
      const key = keyOfRow(table, record);
      if ((this.row(table, key)?.version ?? 0) !== expected) throw conflict(table, key);
      if (table === 'devices' && this.devices.clashes(record)) throw conflict(table, key);
    }
    for (const { table, key, expected } of deletions) {
      if (expected === 0 || this.row(table, key)?.version !== expected) throw conflict(table, key);
    }
  }

  /** Sets or deletes a row. Returns a function that undoes it. */
  set(table: TableName, key: string, row: AnyRow | undefined): () => void {
    const before = this.row(table, key);
    const shard = this.#shard(table, key);
    const apply = (from: AnyRow | undefined, to: AnyRow | undefined): void => {
      if (to === undefined) shard.rows.delete(key);
      else shard.rows.set(key, to);
      shard.dirty = true;
      // A cast at the boundary of the tables, as in `row`.
      if (table === 'devices') {
        this.devices.replace(
          from as Stored<DeviceRecord> | undefined,
          to as Stored<DeviceRecord> | undefined,
        );
      }
      const index =
        table === 'tokens' ? this.#tokens : table === 'requests' ? this.#requests : undefined;
      if (index !== undefined) {
        index.remove((from as TokenRecord | RequestRecord | undefined)?.device ?? null, key);
        index.add((to as TokenRecord | RequestRecord | undefined)?.device ?? null, key);
      }
    };
    apply(before, row);
    return () => apply(row, before);
  }

  #shard(table: TableName, key: string): Shard {
    const shards = this.#shards[table];
    const shard = shards[shards.length === 1 ? 0 : crc32(key) % shards.length];
    if (shard === undefined) throw new FlotillaError('internal');
    return shard;
  }
}

/** A few at a time: the texts of all files together can be larger than the rows. */
async function readAll(shards: readonly Shard[]): Promise<void> {
  const left = shards.values();
  const reader = async (): Promise<void> => {
    for (const shard of left) await shard.read();
  };
  await Promise.all([reader(), reader()]);
}

export function keyOfRow<T extends TableName>(table: T, record: Tables[T]): string {
  return keyOf[table](record);
}

/** Temporary files of a replacement that a crash interrupted. */
async function removeLeftovers(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (name.endsWith('.tmp')) await rm(join(folder, name), { force: true });
  }
}
