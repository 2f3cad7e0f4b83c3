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

interface Waiting {
  readonly texts: readonly string[];
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
  #file: FileHandle;
  #number: number;
  #bytes: number;
  #end: ChainEnd;
  readonly #commits: CommitEnd;
  readonly #watchers = new Set<(line: AuditLine) => void>();
  #waiting: Waiting[] = [];
  #writing: Promise<void> | undefined;
  #broken: Error | undefined;

  private constructor(
    folder: string,
    clock: Clock,
    fileMaxBytes: number,
    at: { file: FileHandle; number: number; bytes: number; end: ChainEnd; commits: CommitEnd },
  ) {
    this.#folder = folder;
    this.#clock = clock;
    this.#fileMaxBytes = fileMaxBytes;
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
   * @param fileMaxBytes when the next file begins; 64 MiB unless told
   * @throws FlotillaError `audit-damaged` when the last whole line cannot be read
   */
  static async open(
    folder: string,
    clock: Clock,
    fileMaxBytes = fileMaxBytesUsual,
  ): Promise<AuditLog> {
    await makeSecretFolder(folder);
    const numbers = await auditFileNumbers(folder);
    const number = numbers.at(-1) ?? 1;
    const path = auditFilePath(folder, number);
    await (await open(path, 'a', secretFileMode)).close();
    await syncFolder(folder);
    const file = await open(path, 'r+');
    try {
      const { size } = await file.stat();
      let { text, bytes } = await lastLine(file, size);
      await file.truncate(bytes);
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
      return new AuditLog(folder, clock, fileMaxBytes, { file, number, bytes, end, commits });
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** The last line's number and hash: what proves that nothing was cut off later. */
  get head(): { readonly seq: number; readonly hash: string } {
    return { seq: this.#end.seq, hash: this.#end.hash };
  }

  /** Whether a write has failed: nothing more is written, nothing more is decided. */
  get isBroken(): boolean {
    return this.#broken !== undefined;
  }

  /** Appends decisions that change nothing in the registry. Durable when it resolves. */
  append(...events: readonly AuditEvent[]): Promise<void> {
    const atMs = this.#clock.now();
    return this.#add(events.map((event) => this.#text(event, atMs)));
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
    return this.#add(missing.map(({ event, atMs, commit }) => this.#text(event, atMs, commit)));
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

  #text(event: AuditEvent, atMs: number, commit?: number): string {
    const { action, actor, device, remoteAddress, detail } = event;
    const seq = this.#end.seq + 1;
    const body = JSON.stringify({
      seq,
      at: new Date(atMs).toISOString(),
      action,
      actor,
      device,
      remoteAddress,
      detail,
      commit,
      prev: this.#end.hash,
    });
    const hash = hashOf(body);
    this.#end = { seq, hash };
    return `${body.slice(0, -1)},"hash":"${hash}"}\n`;
  }

  #add(texts: readonly string[]): Promise<void> {
    if (texts.length === 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#waiting.push({ texts, resolve, reject });
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
        if (this.#broken !== undefined) throw this.#broken;
        if (this.#bytes >= this.#fileMaxBytes) await this.#nextFile();
        const bytes = Buffer.from(batch.flatMap(({ texts }) => texts).join(''));
        for (let done = 0; done < bytes.length;) {
          const at = this.#bytes + done;
          done += (await this.#file.write(bytes, done, undefined, at)).bytesWritten;
        }
        await this.#file.datasync();
        this.#bytes += bytes.length;
        this.#notify(batch);
        for (const { resolve } of batch) resolve();
      } catch (error) {
        // The chain has gone on in memory: nothing may be written behind the gap.
        this.#broken = error instanceof Error ? error : new Error(String(error));
        const failure = new FlotillaError('file-write-failed', {
          detail: auditFilePath(this.#folder, this.#number),
          cause: error,
        });
        for (const { reject } of batch) reject(failure);
      }
    }
  }

  #notify(batch: readonly Waiting[]): void {
    if (this.#watchers.size === 0) return;
    for (const { texts } of batch) {
      for (const text of texts) {
        // The seam to JSON: this log made the text a moment ago.
        const line = JSON.parse(text) as AuditLine;
        for (const watcher of this.#watchers) watcher(line);
      }
    }
  }

  async #nextFile(): Promise<void> {
    const file = await open(auditFilePath(this.#folder, this.#number + 1), 'wx', secretFileMode);
    await syncFolder(this.#folder);
    await this.#file.close();
    this.#file = file;
    this.#number++;
    this.#bytes = 0;
  }
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
