/**
 * The audit log: every decision, in append-only files of JSON lines. Each line contains the hash of the line
 * before it, so that nobody can change, remove or insert a line without being detected.
 *
 * A line is `{"seq","at","action","actor","device","remoteAddress","detail","commit","prev","hash"}`: `prev`
 * is the hash of the previous line (64 zeros in the first one), `hash` is SHA-256 over the line's own text
 * without `,"hash":"…"`. `commit` is the number of the registry change that the line belongs to. The chain
 * continues from file to file: `audit-000001.jsonl`, `audit-000002.jsonl`, …
 *
 * The chain cannot show that lines at its end were removed. To detect this, compare `seq` and `hash` of the
 * last line with values that were recorded elsewhere (`flotilla audit verify` prints them).
 *
 * @module
 */
import { open, type FileHandle } from 'node:fs/promises';
import { openAppendFile, type AppendFile, type OpenAppendFile } from '../../core/append-file.ts';
import { makeSecretFolder } from '../../core/atomic-file.ts';
import type { Clock } from '../../core/clock.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { chainedLines, chainStart, type ChainEnd, type UnwrittenEvent } from './audit-chain.ts';
import type { AuditEvent, AuditLine, NumberedEvent } from './audit-event.ts';
import { assertNoGap, auditFileNumbers, auditFilePath } from './audit-files.ts';
import type { AuditTrail } from './audit-trail.ts';

const fileMaxBytesUsual = 64 * 1024 * 1024;
/** Longer than a usual line, and longer than the slack of the last block. */
const probeBytes = 8192;

export interface AuditLogOptions {
  /** Size at which the next file begins, in bytes (default: 64 MiB). */
  readonly fileMaxBytes?: number;
  /** Replaced by tests that simulate a failing disk. */
  readonly openFile?: OpenAppendFile;
}

interface Waiting {
  readonly events: readonly UnwrittenEvent[];
  /** Lines that are finished already. */
  readonly copied: readonly string[];
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * The last commit that has lines here, and how many: a crash can interrupt the lines of one commit.
 */
interface CommitEnd {
  readonly commit: number;
  readonly lines: number;
}

export class AuditLog implements AuditTrail {
  readonly #folder: string;
  readonly #clock: Clock;
  readonly #fileMaxBytes: number;
  readonly #openFile: OpenAppendFile;
  #file: AppendFile;
  #number: number;
  #bytes: number;
  #end: ChainEnd;
  readonly #commits: CommitEnd;
  readonly #watchers = new Set<(line: AuditLine) => void>();
  #waiting: Waiting[] = [];
  #writing: Promise<void> | undefined;
  /** Whether the last write failed. */
  #isFailing = false;
  /** Whether the file may have bytes after its complete lines. */
  #isDirty = false;

  private constructor(
    folder: string,
    clock: Clock,
    options: AuditLogOptions,
    at: { file: AppendFile; number: number; bytes: number; end: ChainEnd; commits: CommitEnd },
  ) {
    this.#folder = folder;
    this.#clock = clock;
    this.#fileMaxBytes = options.fileMaxBytes ?? fileMaxBytesUsual;
    this.#openFile = options.openFile ?? openAppendFile;
    this.#file = at.file;
    this.#number = at.number;
    this.#bytes = at.bytes;
    this.#end = at.end;
    this.#commits = at.commits;
  }

  /**
   * Opens the log in a folder, or creates it, and continues at its end. An incomplete last line is removed:
   * no response can have depended on it.
   *
   * @throws FlotillaError `audit-damaged` when the last complete line cannot be read, or a file is missing
   */
  static async open(
    folder: string,
    clock: Clock,
    options: AuditLogOptions = {},
  ): Promise<AuditLog> {
    await makeSecretFolder(folder);
    const numbers = await auditFileNumbers(folder);
    assertNoGap(folder, numbers);
    const number = numbers.at(-1) ?? 1;
    const path = auditFilePath(folder, number);
    const { openFile = openAppendFile } = options;
    const file = await openFile(path);
    const reader = await open(path, 'r');
    try {
      const { size } = await reader.stat();
      let { text, bytes } = await lastLine(reader, size);
      if (text === undefined && numbers.length > 1) {
        // The newest file was created, but nothing was written to it.
        const before = await open(auditFilePath(folder, number - 1), 'r');
        try {
          ({ text } = await lastLine(before, (await before.stat()).size));
        } finally {
          await before.close();
        }
        bytes = 0;
      }
      const end = text === undefined ? { seq: 0, hash: chainStart } : endOf(text, path);
      const commits = await lastCommit(folder, numbers);
      if (bytes < size) await file.truncate(bytes);
      return new AuditLog(folder, clock, options, { file, number, bytes, end, commits });
    } catch (error) {
      await file.close();
      throw error;
    } finally {
      await reader.close();
    }
  }

  /**
   * The number and hash of the last line. Recorded elsewhere, they prove that no later line was removed.
   */
  get head(): { readonly seq: number; readonly hash: string } {
    return { seq: this.#end.seq, hash: this.#end.hash };
  }

  /** The newest commit of the registry that had lines here when the log was opened; 0: none. */
  get openedCommit(): number {
    return this.#commits.commit;
  }

  /** Whether the last write failed. Each later one tries again. */
  get isBroken(): boolean {
    return this.#isFailing;
  }

  /** Tests whether a log whose last write failed can be written again. */
  async probe(): Promise<void> {
    if (this.#isFailing) await this.#add([]).catch(() => undefined);
  }

  /**
   * Appends decisions that change nothing in the registry. They are durable when the promise resolves.
   */
  append(...events: readonly AuditEvent[]): Promise<void> {
    const atMs = this.#clock.now();
    if (events.length === 0) return Promise.resolve();
    return this.#add(events.map((event) => ({ event, atMs, commit: undefined })));
  }

  /**
   * The sink for the registry: appends the events of commits, and of replayed commits those that are new.
   */
  readonly sink = (events: readonly NumberedEvent[], replayed: boolean): Promise<void> => {
    let skip = this.#commits.lines;
    const missing = !replayed
      ? events
      : events.filter(({ commit }) => {
          if (commit !== this.#commits.commit) return commit > this.#commits.commit;
          return skip-- <= 0;
        });
    return missing.length === 0 ? Promise.resolve() : this.#add(missing);
  };

  /** Appends lines of the same chain that were written elsewhere. Such a log has no other lines. */
  copy(lines: readonly string[]): Promise<void> {
    return this.#add([], lines);
  }

  /** Calls for each line once it is durable. A listener must not throw. */
  watch(listener: (line: AuditLine) => void): () => void {
    this.#watchers.add(listener);
    return () => this.#watchers.delete(listener);
  }

  async close(): Promise<void> {
    await this.#writing?.catch(() => undefined);
    await this.#file.close();
  }

  #add(events: readonly UnwrittenEvent[], copied: readonly string[] = []): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ events, copied, resolve, reject });
      this.#start();
    });
  }

  #start(): void {
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined;
      if (this.#waiting.length > 0) this.#start();
    });
  }

  async #write(): Promise<void> {
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0);
      try {
        const { texts, end } = this.#textsOf(batch);
        await this.#append(texts);
        this.#end = end;
        this.#isFailing = false;
        this.#notify(texts);
        for (const { resolve } of batch) resolve();
      } catch (error) {
        this.#isFailing = true;
        const failure = new FlotillaError('file-write-failed', {
          detail: auditFilePath(this.#folder, this.#number),
          cause: error,
        });
        for (const { reject } of batch) reject(failure);
      }
    }
  }

  #textsOf(batch: readonly Waiting[]): { texts: readonly string[]; end: ChainEnd } {
    const copied = batch.flatMap((one) => one.copied);
    const last = copied.at(-1);
    const from = last === undefined ? this.#end : endOf(last, this.#folder);
    const events = batch.flatMap((one) => one.events);
    const { texts, end } = chainedLines(events, from);
    return { texts: [...copied.map((line) => `${line}\n`), ...texts], end };
  }

  /** Appends all lines, or none. An append without lines tests the disk. */
  async #append(texts: readonly string[]): Promise<void> {
    await this.#repair();
    if (this.#bytes >= this.#fileMaxBytes) await this.#nextFile();
    const isProbe = texts.length === 0;
    const bytes = isProbe ? Buffer.alloc(probeBytes, ' ') : Buffer.from(texts.join(''));
    this.#isDirty = true;
    try {
      await this.#file.append(bytes, this.#bytes);
      await this.#file.flush();
    } catch (error) {
      // If this fails too, the next write repairs the file first.
      await this.#repair().catch(() => undefined);
      throw error;
    }
    if (isProbe) {
      await this.#repair();
    } else {
      this.#isDirty = false;
      this.#bytes += bytes.length;
    }
  }

  /** Removes what a failed write has left. */
  async #repair(): Promise<void> {
    if (!this.#isDirty) return;
    await this.#file.truncate(this.#bytes);
    await this.#file.flush();
    this.#isDirty = false;
  }

  #notify(texts: readonly string[]): void {
    if (this.#watchers.size === 0) return;
    for (const text of texts) {
      // A cast at the boundary to JSON: this log created the text itself.
      const line = JSON.parse(text) as AuditLine;
      for (const watcher of this.#watchers) watcher(line);
    }
  }

  async #nextFile(): Promise<void> {
    // An earlier attempt may have created it and failed afterwards: it is empty.
    const file = await this.#openFile(auditFilePath(this.#folder, this.#number + 1));
    await this.#file.close();
    this.#file = file;
    this.#number++;
    this.#bytes = 0;
  }
}

const tailBytes = 64 * 1024;

/** The last complete line of a file, and the length of all complete lines in bytes. */
async function lastLine(
  file: FileHandle,
  size: number,
): Promise<{ text: string | undefined; bytes: number }> {
  for (let length = Math.min(size, tailBytes); ; length = Math.min(size, length * 2)) {
    const { buffer } = await file.read(Buffer.alloc(length), 0, length, size - length);
    const end = buffer.lastIndexOf(10);
    const start = end <= 0 ? -1 : buffer.lastIndexOf(10, end - 1);
    if (end !== -1 && (start !== -1 || length === size)) {
      const text = buffer.subarray(start + 1, end).toString('utf8');
      return { text, bytes: size - length + end + 1 };
    }
    if (length === size) return { text: undefined, bytes: 0 };
  }
}

function endOf(text: string, path: string): ChainEnd {
  try {
    // A cast at the boundary to JSON: each field is checked below.
    const line = JSON.parse(text) as Partial<AuditLine>;
    const { seq, hash } = line;
    if (typeof seq === 'number' && typeof hash === 'string') return { seq, hash };
  } catch {
    // The error below covers this case too.
  }
  throw new FlotillaError('audit-damaged', { detail: `${path}: the last line` });
}

const commitTail = /,"commit":(\d+),"prev":"[0-9a-f]{64}","hash":"[0-9a-f]{64}"\}$/;

/**
 * Lines without a commit may follow the last one that has one: searches backward until it is found.
 */
async function lastCommit(folder: string, numbers: readonly number[]): Promise<CommitEnd> {
  for (const number of numbers.toReversed()) {
    const file = await open(auditFilePath(folder, number), 'r');
    try {
      const { size } = await file.stat();
      for (let length = Math.min(size, tailBytes); ; length = Math.min(size, length * 8)) {
        const { buffer } = await file.read(Buffer.alloc(length), 0, length, size - length);
        const commits = buffer
          .toString('utf8')
          .split('\n')
          .flatMap((line) => commitTail.exec(line)?.[1] ?? [])
          .map(Number);
        const commit = commits.at(-1);
        const lines = commits.filter((other) => other === commit).length;
        // Only the end of the file was read: the first line of the last commit is certainly in it.
        if (commit !== undefined && (lines < commits.length || length === size)) {
          return { commit, lines };
        }
        if (length === size) break;
      }
    } finally {
      await file.close();
    }
  }
  return { commit: 0, lines: 0 };
}
