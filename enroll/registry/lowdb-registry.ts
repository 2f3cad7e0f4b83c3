/**
 * The embedded registry: lowdb, sharded, behind a journal. All rows are in memory; the disk has
 *
 * ```
 * registry/journal-00000007.jsonl   commits since the last checkpoint, one per line (journal.ts)
 * registry/devices/00.json … 63.json, tokens/…   the rows, one per line (shard.ts)
 * registry/lock                     the process that writes
 * ```
 *
 * **Commit.** 1. Versions and uniqueness are checked and the change is applied in memory, in one turn of the
 * event loop. 2. The change is appended to the journal as one line, together with all others that wait, and
 * flushed once. 3. Its events go to the sink, which flushes them. 4. Watchers are called and promises
 * resolve. If 2 or 3 fails, the changes of the batch and all later ones are undone in reverse order, and the
 * journal is cut to its length before; the next commit tries again.
 *
 * **Checkpoint**, when the journal has reached half the size of the shards, or nothing was written for a
 * while: 1. A new journal file with the next number is used. 2. Each shard that changed is serialized, with
 * commits up to some number m; when the journal is flushed up to m, the text replaces the shard's file
 * atomically. 3. The older journal files are deleted, oldest first, and the folder is flushed after each.
 *
 * **Start.** All shards are read, then all journals are replayed in order. Lines contain complete rows, so
 * replaying a line twice is harmless: whatever mixture of old and new shard files a crash leaves, every
 * commit in them is still in a journal (2), and the last line about a row wins. Events are handed to the sink
 * again; it knows which it has.
 *
 * | crash | state at the next start |
 * |---|---|
 * | before or during the write of the journal | the line is missing or incomplete: the change never happened |
 * | after the flush, before the sink | the change is there; the sink gets its events at the start |
 * | after a new journal file was created | two journals, replayed in order |
 * | between two shards | some new, some old, all journals still there |
 * | while a shard is replaced | the old file (a leftover `.tmp` is removed) |
 * | before or between deletions of journals | journals are replayed without need; a gap in their numbers is damage |
 *
 * @module
 */
import { rm } from 'node:fs/promises';
import { setImmediate as turn } from 'node:timers/promises';
import { openAppendFile, type OpenAppendFile } from '../../core/append-file.ts';
import { makeSecretFolder, syncFolder } from '../../core/atomic-file.ts';
import type { Cancel } from '../../core/clock.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { NumberedEvent } from '../audit/audit-event.ts';
import type { LowdbRegistryDeps } from './lowdb-registry-deps.ts';
import { auditLoss, registryLoss } from './loss-check.ts';
import { RegistryLock } from './registry-lock.ts';
import { Journal } from './journal.ts';
import { journalNumbers, journalPath, readJournals } from './journal-files.ts';
import { MemoryRegistry, type PendingChange } from './memory-registry.ts';
import type { Change } from './registry.ts';
import { RegistryRows, type JournalLine } from './registry-rows.ts';

/** A journal smaller than this never causes a checkpoint by its size. */
const journalMinBytes = 4 * 1024 * 1024;
const idleCheckpointMs = 60_000;
const batchMaxLines = 1000;

/** A change that waits for its line in the journal. */
interface Waiting extends PendingChange {
  readonly number: number;
  readonly atMs: number;
  readonly json: string;
}

/**
 * Opens the registry in a folder, or creates it.
 *
 * @throws FlotillaError `registry-damaged`, `registry-locked`
 */
export async function openLowdbRegistry(
  folder: string,
  deps: LowdbRegistryDeps,
): Promise<LowdbRegistry> {
  await makeSecretFolder(folder);
  const lock = await RegistryLock.take(folder, deps.log);
  try {
    const registry = new LowdbRegistry(folder, deps, lock);
    await registry.start();
    return registry;
  } catch (error) {
    await lock.release();
    throw error;
  }
}

export class LowdbRegistry extends MemoryRegistry {
  readonly #folder: string;
  readonly #deps: LowdbRegistryDeps;
  readonly #lock: RegistryLock;
  readonly #openFile: OpenAppendFile;
  #journal: Journal | undefined;
  #journalNumber = 0;
  #waiting: Waiting[] = [];
  #writing: Promise<void> | undefined;
  #checkpointing: Promise<void> | undefined;
  #rotate: (() => Promise<void>) | undefined;
  #idle: Cancel = () => undefined;
  #closing: Promise<void> | undefined;
  #shardBytes = 0;
  /** The newest commit that is in the shards for sure. */
  #shardNumber = 0;

  constructor(folder: string, deps: LowdbRegistryDeps, lock: RegistryLock) {
    super((settled) => new RegistryRows(folder, settled));
    this.#folder = folder;
    this.#deps = deps;
    this.#lock = lock;
    this.#openFile = deps.openFile ?? openAppendFile;
  }

  /** Reads the files. Called once, by {@link openLowdbRegistry}. */
  async start(): Promise<void> {
    await this.held.prepare();
    this.newest = await this.held.read();
    this.#shardNumber = this.newest;
    this.#shardBytes = this.held.bytes;
    const events: NumberedEvent[] = [];
    const found = await readJournals(
      this.#folder,
      (json) => this.#replay(json, events),
      this.held.manifest?.journal,
    );
    this.#journalNumber = found.newest;
    this.#deps.opened?.(this.newest);
    this.durability.reset(this.newest);
    this.#assertNothingLost();
    const path = journalPath(this.#folder, this.#journalNumber);
    const file = await this.#openFile(path);
    await file.truncate(found.newestBytes);
    await file.flush();
    this.#journal = new Journal(path, file, found.newestBytes);
    this.held.index();
    // Before any shard is written: a shard with a checksum always has a manifest.
    await this.#writeManifest(this.#shardNumber);
    await this.#deps.sink(events, true);
    if (found.count > 1) this.#startCheckpoint();
  }

  /** @throws FlotillaError when registry or audit log have lost what the other one proves */
  #assertNothingLost(): void {
    const { auditedCommit = 0, auditHead, acceptLoss } = this.#deps;
    const { isLegacy, manifest } = this.held;
    const own = { number: this.newest, isLegacy, manifest };
    const audit = { commit: auditedCommit, head: auditHead?.() };
    const lost = registryLoss(own, audit);
    const lostLines = acceptLoss === 'audit' ? undefined : auditLoss(own, audit);
    const loss = (acceptLoss === 'registry' ? undefined : lost) ?? lostLines;
    if (loss !== undefined) throw loss;
    if (lost === undefined) return;
    // Later commits have numbers that the audit log does not have yet.
    this.newest = auditedCommit;
    this.durability.reset(auditedCommit);
  }

  #writeManifest(number: number): Promise<void> {
    const audit = this.#deps.auditHead?.();
    return this.held.writeManifest({ number, journal: this.#journalNumber, audit });
  }

  commit(change: Change): Promise<number> {
    return new Promise((resolve, reject) => {
      if (this.#closing !== undefined) throw new FlotillaError('registry-unavailable');
      this.#lock.assertHeld();
      const atMs = this.#deps.clock.now();
      const { number, put, del, undo } = this.apply(change);
      const line: JournalLine = { n: number, at: atMs, put, del, events: change.events ?? [] };
      const json = JSON.stringify(line);
      this.#waiting.push({ number, atMs, json, change, undo, resolve, reject });
      this.#startWriting();
    });
  }

  /** Writes every shard that changed and deletes the journals that are no longer needed. */
  checkpoint(): Promise<void> {
    // One at a time, because each uses the journal that the one before created.
    const before = this.#checkpointing ?? Promise.resolve();
    const one = before.catch(() => undefined).then(() => this.#checkpointOnce());
    const kept = one.finally(() => {
      if (this.#checkpointing === kept) this.#checkpointing = undefined;
    });
    this.#checkpointing = kept;
    return kept;
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#closeOnce());
  }

  async #closeOnce(): Promise<void> {
    this.#idle();
    try {
      await this.#writing;
      await this.#checkpointing?.catch(() => undefined);
      await this.checkpoint();
    } finally {
      await this.#journal?.close();
      await this.#lock.release();
    }
  }

  #startWriting(): void {
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined;
      // Commits that were added after the last check of the loop.
      if (this.#waiting.length > 0 || this.#rotate !== undefined) this.#startWriting();
    });
  }

  async #write(): Promise<void> {
    // All other commits of this turn share the flush.
    await Promise.resolve();
    while (this.#waiting.length > 0 || this.#rotate !== undefined) {
      const rotate = this.#rotate;
      // Cleared first: a request during the rotation is for another one.
      this.#rotate = undefined;
      await rotate?.();
      const batch = this.#waiting.splice(0, batchMaxLines);
      if (batch.length > 0 && !(await this.#writeBatch(batch))) break;
    }
    this.#planCheckpoint();
  }

  async #writeBatch(batch: readonly Waiting[]): Promise<boolean> {
    await this.#deps.step?.('before-journal');
    const bytesBefore = this.#journal?.bytes ?? 0;
    try {
      this.#lock.assertHeld();
      await this.#journal?.append(batch.map(({ json }) => json));
    } catch (error) {
      this.takeBack([...batch, ...this.#waiting.splice(0)], error);
      return false;
    }
    await this.#deps.step?.('after-journal');
    try {
      await this.#deps.sink(
        batch.flatMap(({ number, atMs, change }) =>
          (change.events ?? []).map((event) => ({ commit: number, atMs, event })),
        ),
        false,
      );
    } catch (error) {
      // A change without its line in the audit log must not happen: its line is removed from the journal. If
      // even that fails, the journal is repaired before the next line, or the next start delivers the events.
      this.#deps.log.error({ err: error }, 'could not write the audit log, the change is undone');
      await this.#journal?.cutTo(bytesBefore).catch((second: unknown) => {
        this.#deps.log.error({ err: second }, 'could not undo a change in the journal');
      });
      const failure = new FlotillaError('registry-unavailable', { cause: error });
      this.takeBack([...batch, ...this.#waiting.splice(0)], failure);
      return false;
    }
    await this.#deps.step?.('after-sink');
    this.confirm(batch);
    return true;
  }

  #planCheckpoint(): void {
    this.#idle();
    if (this.#closing !== undefined) return;
    const bytes = this.#journal?.bytes ?? 0;
    if (bytes >= Math.max(journalMinBytes, this.#shardBytes / 2)) this.#startCheckpoint();
    else this.#idle = this.#deps.clock.after(idleCheckpointMs, () => this.#startCheckpoint());
  }

  #startCheckpoint(): void {
    if (this.#checkpointing !== undefined) return;
    this.checkpoint().catch((error: unknown) => {
      this.#deps.log.error({ err: error }, 'registry checkpoint failed, the journal is kept');
    });
  }

  async #checkpointOnce(): Promise<void> {
    if (this.#lock.isLost || !this.held.shards.some(({ dirty }) => dirty)) return;
    await this.#rotateJournal();
    const number = this.durability.number;
    await this.#deps.step?.('after-rotation');
    for (const shard of this.held.shards) {
      if (!shard.dirty) continue;
      await this.#deps.step?.('before-shard');
      await shard.write();
      await turn();
    }
    // Commits up to here are in the shards; the journals with later ones stay.
    await this.#writeManifest(number);
    this.#shardNumber = number;
    await this.#deps.step?.('after-shards');
    for (const number of await journalNumbers(this.#folder)) {
      if (number >= this.#journalNumber) break;
      await this.#deps.step?.('before-deletion');
      await rm(journalPath(this.#folder, number));
      await syncFolder(this.#folder);
    }
    this.#shardBytes = this.held.bytes;
    await this.#deps.step?.('after-checkpoint');
  }

  /** Starts a new journal file, between two batches. */
  #rotateJournal(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#rotate = async () => {
        try {
          const path = journalPath(this.#folder, this.#journalNumber + 1);
          // What a failed write has left would be read at the next start.
          await this.#journal?.repair();
          const next = new Journal(path, await this.#openFile(path), 0);
          const old = this.#journal;
          this.#journal = next;
          this.#journalNumber++;
          await old?.close();
          resolve();
        } catch (error) {
          reject(new FlotillaError('registry-unavailable', { cause: error }));
        }
      };
      this.#startWriting();
    });
  }

  #replay(json: string, events: NumberedEvent[]): void {
    // A cast at the boundary to JSON: lines with a correct checksum were written by `commit`.
    const line = JSON.parse(json) as JournalLine;
    this.held.replay(line);
    this.newest = Math.max(this.newest, line.n);
    for (const event of line.events) events.push({ commit: line.n, atMs: line.at, event });
  }
}
