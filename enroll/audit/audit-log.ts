/**
 * The audit log: every decision, in append-only files of JSON lines, each line bound to the one
 * before it by hash, so that nobody can change, remove or insert a line unseen.
 *
 * A line is `{"seq","at","action","actor","device","remoteAddress","detail","commit","prev","hash"}`:
 * `prev` is the hash of the line before (64 zeros in the first), `hash` is SHA-256 over the line's
 * own text without `,"hash":"…"`. `commit` names the registry's change that the line belongs to. The
 * chain runs on from file to file: `audit-000001.jsonl`, `audit-000002.jsonl`, …
 *
 * What the chain cannot show is that lines at its very end were cut off: compare `seq` and `hash` of
 * the last line with what was noted elsewhere (`flotilla audit verify` prints them).
 *
 * @module
 */
import { createHash } from 'node:crypto';
import { open, readdir, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { openAppendFile, type AppendFile, type OpenAppendFile } from '../../core/append-file.ts';
import { makeSecretFolder, secretFileMode, syncFolder } from '../../core/atomic-file.ts';
import type { Clock } from '../../core/clock.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { AuditEvent, NumberedEvent } from './audit-event.ts';

/** One line, parsed. */
export interface AuditLine extends AuditEvent {
  readonly seq: number;
  /** ISO 8601, UTC. */
  readonly at: string;
  readonly commit?: number;
  readonly prev: string;
  readonly hash: string;
}

/** `prev` of the first line of all. */
export const chainStart = '0'.repeat(64);

const fileMaxBytesUsual = 64 * 1024 * 1024;
/** Longer than a usual line, and more than the slack of the last block. */
const probeBytes = 8192;

export interface AuditLogOptions {
  /** When the next file begins (default: 64 MiB). */
  readonly fileMaxBytes?: number;
  /** Replaced in tests that make the disk fail. */
  readonly openFile?: OpenAppendFile;
}

/** An event on its way to the file. Its text depends on the line before it. */
interface Pending {
  readonly event: AuditEvent;
  readonly atMs: number;
  readonly commit: number | undefined;
}

interface Waiting {
  readonly events: readonly Pending[];
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Where a log stands: what its next line builds on. */
interface ChainEnd {
  readonly seq: number;
  readonly hash: string;
}

/** The last commit that has lines here, and how many: a crash can tear the lines of one commit. */
interface CommitEnd {
  readonly commit: number;
  readonly lines: number;
}

export class AuditLog {
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
  /** Whether there may be bytes behind the whole lines. */
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
   * Opens, and makes if missing, the log in a folder, and goes on at its end. A torn last line,
   * which no answer can have depended on, is cut off.
   *
   * @throws FlotillaError `audit-damaged` when the last whole line cannot be read
   */
  static async open(
    folder: string,
    clock: Clock,
    options: AuditLogOptions = {},
  ): Promise<AuditLog> {
    await makeSecretFolder(folder);
    const numbers = await auditFileNumbers(folder);
    const number = numbers.at(-1) ?? 1;
    const path = auditFilePath(folder, number);
    await (await open(path, 'a', secretFileMode)).close();
    await syncFolder(folder);
    const { openFile = openAppendFile } = options;
    const reader = await open(path, 'r');
    try {
      const { size } = await reader.stat();
      let { text, bytes } = await lastLine(reader, size);
      if (text === undefined && numbers.length > 1) {
        // The newest file was made, and then nothing written to it.
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
      const file = await openFile(path);
      if (bytes < size) await file.truncate(bytes);
      return new AuditLog(folder, clock, options, { file, number, bytes, end, commits });
    } finally {
      await reader.close();
    }
  }

  /** The last line's number and hash: what proves that nothing was cut off later. */
  get head(): { readonly seq: number; readonly hash: string } {
    return { seq: this.#end.seq, hash: this.#end.hash };
  }

  /** Whether the last write failed. Each later one tries again. */
  get isBroken(): boolean {
    return this.#isFailing;
  }

  /** Finds out whether a log whose last write failed can be written again. */
  async probe(): Promise<void> {
    if (this.#isFailing) await this.#add([]).catch(() => undefined);
  }

  /** Appends decisions that change nothing in the registry. Durable when it resolves. */
  append(...events: readonly AuditEvent[]): Promise<void> {
    const atMs = this.#clock.now();
    if (events.length === 0) return Promise.resolve();
    return this.#add(events.map((event) => ({ event, atMs, commit: undefined })));
  }

  /** The sink of the registry: appends the events of commits; of replayed ones those that are new. */
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

  /** Calls for each line once it is durable. A listener must not throw. */
  watch(listener: (line: AuditLine) => void): () => void {
    this.#watchers.add(listener);
    return () => this.#watchers.delete(listener);
  }

  async close(): Promise<void> {
    await this.#writing?.catch(() => undefined);
    await this.#file.close();
  }

  #add(events: readonly Pending[]): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ events, resolve, reject });
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
        const { texts, end } = linesOf(
          batch.flatMap(({ events }) => events),
          this.#end,
        );
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
      // When even this fails, the next write repairs the file first.
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

  /** Cuts off what a failed write has left. */
  async #repair(): Promise<void> {
    if (!this.#isDirty) return;
    await this.#file.truncate(this.#bytes);
    await this.#file.flush();
    this.#isDirty = false;
  }

  #notify(texts: readonly string[]): void {
    if (this.#watchers.size === 0) return;
    for (const text of texts) {
      // The seam to JSON: this log made the text a moment ago.
      const line = JSON.parse(text) as AuditLine;
      for (const watcher of this.#watchers) watcher(line);
    }
  }

  async #nextFile(): Promise<void> {
    // An earlier attempt may have created it and failed then: it is empty.
    const file = await this.#openFile(auditFilePath(this.#folder, this.#number + 1));
    await this.#file.close();
    this.#file = file;
    this.#number++;
    this.#bytes = 0;
  }
}

/** The lines of events, each bound to the one before, and the end of the chain behind them. */
function linesOf(
  events: readonly Pending[],
  from: ChainEnd,
): { texts: readonly string[]; end: ChainEnd } {
  let end = from;
  const texts = events.map(({ event, atMs, commit }) => {
    const { action, actor, device, remoteAddress, detail } = event;
    const seq = end.seq + 1;
    const at = new Date(atMs).toISOString();
    const fields = { seq, at, action, actor, device, remoteAddress, detail, commit };
    const body = JSON.stringify({ ...fields, prev: end.hash });
    const hash = hashOf(body);
    end = { seq, hash };
    return `${body.slice(0, -1)},"hash":"${hash}"}\n`;
  });
  return { texts, end };
}

/** The numbers of the files in a folder, in order. */
export async function auditFileNumbers(folder: string): Promise<number[]> {
  return (await readdir(folder))
    .map((name) => Number(/^audit-(\d{6,})\.jsonl$/.exec(name)?.[1] ?? Number.NaN))
    .filter((number) => !Number.isNaN(number))
    .sort((one, other) => one - other);
}

export function auditFilePath(folder: string, number: number): string {
  return join(folder, `audit-${String(number).padStart(6, '0')}.jsonl`);
}

/** The hash of a line's text without its hash. */
export function hashOf(body: string): string {
  return createHash('sha256').update(body).digest('hex');
}

const tailBytes = 64 * 1024;

/** The last whole line of a file, and how many bytes the whole lines are. */
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
    // The seam to JSON: checked below, field by field.
    const line = JSON.parse(text) as Partial<AuditLine>;
    const { seq, hash } = line;
    if (typeof seq === 'number' && typeof hash === 'string') return { seq, hash };
  } catch {
    // Falls through to the one refusal.
  }
  throw new FlotillaError('audit-damaged', { detail: `${path}: the last line` });
}

const commitTail = /,"commit":(\d+),"prev":"[0-9a-f]{64}","hash":"[0-9a-f]{64}"\}$/;

/** Lines without a commit may stand behind the last one that has one: looks back until it is found. */
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
        // Fewer than all: the first line of the last commit is surely in the part that was read.
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
