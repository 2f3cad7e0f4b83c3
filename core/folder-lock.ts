/**
 * A lock file: one process at a time writes a folder.
 *
 * The file names its holder (see {@link ProcessIdentity}). The kernel knows whether a holder on this
 * machine and in this container still runs. For any other holder, the lock is a lease: the holder sets the
 * file's time every few seconds, and who waits takes the lock when the file did not change for
 * {@link leaseMs}. Only the waiting process's own monotonic clock is used, so clocks may differ.
 *
 * @module
 */
import { randomBytes } from 'node:crypto';
import { link, open, readFile, rename, rm, stat, utimes } from 'node:fs/promises';
import { resolve } from 'node:path';
import { z } from 'zod';
import { secretFileMode } from './atomic-file.ts';
import { systemClock, type Cancel, type Clock } from './clock.ts';
import type { ErrorCode } from './errors/catalogue.ts';
import { FlotillaError } from './errors/flotilla-error.ts';
import { systemProcesses, type ProcessTable } from './process-identity.ts';

/** How often the holder renews its lease. */
const renewEveryMs = 5000;
/** A lock whose file did not change for this long has no holder. */
export const leaseMs = 20_000;
const lookEveryMs = 500;
/** A file without a complete record is being written, or its holder crashed while writing. */
const incompleteMs = 2000;
const attemptsMax = 5;

const recordSchema = z.object({
  pid: z.int(),
  boot: z.string(),
  namespace: z.string(),
  started: z.string(),
  token: z.string(),
});
type LockRecord = z.infer<typeof recordSchema>;

export interface FolderLockOptions {
  /** The error when another process holds the lock. */
  readonly code: Extract<ErrorCode, 'registry-locked' | 'state-in-use' | 'identity-in-use'>;
  readonly clock?: Clock;
  readonly processes?: ProcessTable;
  /**
   * Called once when another process took the lock, because this one was paused for longer than the
   * lease. This process must not write the folder any more.
   */
  readonly lost?: (error: FlotillaError) => void;
}

/** The locks that this process holds, by path. */
const held = new Set<string>();

/**
 * Takes the lock, also from a process that ended without releasing it. Waits at most a little longer than
 * {@link leaseMs} when only the lease can show that.
 *
 * @returns releases the lock
 * @throws FlotillaError with `options.code`
 */
export async function lockFile(
  relativePath: string,
  options: FolderLockOptions,
): Promise<() => Promise<void>> {
  const path = resolve(relativePath);
  if (held.has(path)) throw new FlotillaError(options.code, { detail: `${path}, by this process` });
  held.add(path);
  try {
    const lock = new HeldLock(path, options);
    await lock.take();
    return async () => {
      await lock.release();
      held.delete(path);
    };
  } catch (error) {
    held.delete(path);
    throw error;
  }
}

class HeldLock {
  readonly #path: string;
  readonly #options: FolderLockOptions;
  readonly #clock: Clock;
  readonly #processes: ProcessTable;
  readonly #token = randomBytes(12).toString('hex');
  #cancel: Cancel = () => undefined;
  #renewing: Promise<void> = Promise.resolve();
  #isOver = false;

  constructor(path: string, options: FolderLockOptions) {
    this.#path = path;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#processes = options.processes ?? systemProcesses;
  }

  async take(): Promise<void> {
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      if (await this.#create()) {
        this.#plan();
        return;
      }
      const found = await this.#read();
      if (found !== undefined) await this.#replace(found);
    }
    throw this.#inUse(undefined);
  }

  async release(): Promise<void> {
    this.#isOver = true;
    this.#cancel();
    await this.#renewing;
    const found = await this.#read();
    if (found?.record?.token === this.#token) await rm(this.#path, { force: true });
  }

  /** @returns whether the lock is ours now */
  async #create(): Promise<boolean> {
    const mine = `${this.#path}.${this.#token}`;
    await this.#write(mine);
    try {
      // The file appears with its whole content, or not at all.
      await link(mine, this.#path);
      return true;
    } catch (error) {
      if (codeOf(error) === 'EEXIST') return false;
      if (!noHardLinks.has(codeOf(error) ?? '')) throw error;
      return await this.#createWithoutLink();
    } finally {
      await rm(mine, { force: true });
    }
  }

  async #createWithoutLink(): Promise<boolean> {
    try {
      await this.#write(this.#path);
      return true;
    } catch (error) {
      if (codeOf(error) === 'EEXIST') return false;
      throw error;
    }
  }

  /** Writes the record of this process into a file that must not exist yet. */
  async #write(path: string): Promise<void> {
    const file = await open(path, 'wx', secretFileMode);
    try {
      await file.writeFile(`${JSON.stringify({ ...this.#processes.self, token: this.#token })}\n`);
    } catch (error) {
      // The disk is full: an empty file would be a lock that nobody holds.
      await rm(path, { force: true });
      throw new FlotillaError('file-write-failed', { detail: path, cause: error });
    } finally {
      await file.close();
    }
  }

  /** Removes a lock without a holder. @throws FlotillaError when it has one */
  async #replace(found: FoundLock): Promise<void> {
    if (!(await this.#isAbandoned(found))) throw this.#inUse(found.record);
    // Another process may replace it at the same time: what was removed must be what was judged.
    const removed = `${this.#path}.${this.#token}.old`;
    try {
      await rename(this.#path, removed);
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return;
      throw error;
    }
    const text = await readFile(removed, 'utf8').catch(() => '');
    if (text !== found.text) {
      await link(removed, this.#path).catch(() => undefined);
      await rm(removed, { force: true });
      throw this.#inUse(recordOf(text));
    }
    await rm(removed, { force: true });
  }

  async #isAbandoned(found: FoundLock): Promise<boolean> {
    const { record } = found;
    const state = record === undefined ? 'unknown' : this.#processes.stateOf(record);
    // This process holds no lock with this path: the file was copied together with its folder.
    const { pid, boot, namespace } = this.#processes.self;
    if (record?.pid === pid && record.boot === boot && record.namespace === namespace) return true;
    if (state !== 'unknown') return state === 'ended';
    return this.#isUnchanged(found, record === undefined ? incompleteMs : leaseMs);
  }

  /** Whether the file stays as it is for this time. */
  async #isUnchanged(found: FoundLock, forMs: number): Promise<boolean> {
    const untilMs = this.#clock.monotonicMs() + forMs;
    while (this.#clock.monotonicMs() < untilMs) {
      // The wait itself must keep the process alive; a timer of the clock does not.
      const keepAlive = setInterval(() => undefined, forMs);
      await new Promise<void>((done) => this.#clock.after(lookEveryMs, done));
      clearInterval(keepAlive);
      const now = await this.#read();
      // Removed: the next attempt creates it.
      if (now === undefined) return true;
      if (now.text !== found.text || now.changedMs !== found.changedMs) return false;
    }
    return true;
  }

  async #read(): Promise<FoundLock | undefined> {
    try {
      const text = await readFile(this.#path, 'utf8');
      const { mtimeMs } = await stat(this.#path);
      return { text, record: recordOf(text), changedMs: mtimeMs };
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return undefined;
      throw error;
    }
  }

  #plan(): void {
    if (this.#isOver) return;
    this.#cancel = this.#clock.after(renewEveryMs, () => {
      this.#renewing = this.#renew()
        .catch(() => undefined)
        .then(() => this.#plan());
    });
  }

  async #renew(): Promise<void> {
    const found = await this.#read();
    if (found?.record?.token === this.#token) {
      const seconds = this.#clock.now() / 1000;
      await utimes(this.#path, seconds, seconds);
      return;
    }
    // A removed lock file is created again, unless somebody else did it.
    if (found === undefined && (await this.#create())) return;
    this.#isOver = true;
    this.#options.lost?.(this.#inUse(found?.record));
  }

  #inUse(record: LockRecord | undefined): FlotillaError {
    const by = record === undefined ? 'another process' : `process ${record.pid}`;
    const other = record !== undefined && this.#processes.stateOf(record) === 'unknown';
    const where = other ? ' on another machine or in another container' : '';
    return new FlotillaError(this.#options.code, { detail: `${this.#path}, by ${by}${where}` });
  }
}

interface FoundLock {
  readonly text: string;
  /** Undefined when the text is not a complete record. */
  readonly record: LockRecord | undefined;
  readonly changedMs: number;
}

/** What `link` reports on a file system without hard links. */
const noHardLinks = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK']);

function recordOf(text: string): LockRecord | undefined {
  try {
    return recordSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string'
    ? error.code
    : undefined;
}
