/**
 * The output of a service: stdout, stderr, the log. Whoever reads it must not decide over the service: a reader
 * that is stopped, a terminal that is paused (Ctrl-S), a closed pipe or a full disk loses output, and nothing
 * waits.
 *
 * A write to a pipe whose reader does not read would block the whole process. So pipes and terminals are written
 * without blocking, through a file description of their own where the system offers that: the flag would
 * otherwise apply to other processes that share the pipe, too. Lines that do not fit wait in a small buffer;
 * when that is full, lines are dropped and counted.
 *
 * @module
 */
import { constants, fstatSync, openSync, writeSync } from 'node:fs';
import { isatty } from 'node:tty';

/** Output that waits for its reader, in bytes. */
const waitingMaxBytes = 64 * 1024;
const retryEveryMs = 200;

export interface ServiceOutputOptions {
  /** What to write when lines were lost. */
  readonly lostText?: (lines: number) => string;
  /** Writes without blocking: returns how many bytes were written, or throws (default: the real one). */
  readonly writeNow?: (bytes: Buffer) => number;
}

export class ServiceOutput {
  readonly #writeNow: (bytes: Buffer) => number;
  readonly #lostText: (lines: number) => string;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #lost = 0;
  #retry: NodeJS.Timeout | undefined;

  /** @param fd 1 for stdout, 2 for stderr */
  constructor(fd: 1 | 2, options: ServiceOutputOptions = {}) {
    this.#writeNow = options.writeNow ?? writerOf(fd);
    this.#lostText = options.lostText ?? ((lines) => `(${lines} lines of output were lost)\n`);
  }

  /** How many lines were lost and not reported yet. */
  get lost(): number {
    return this.#lost;
  }

  /** Writes now, later, or never. Never throws and never waits. */
  write(text: string | Uint8Array): void {
    const bytes = typeof text === 'string' ? Buffer.from(text) : Buffer.from(text);
    if (this.#waitingBytes + bytes.length > waitingMaxBytes && this.#waiting.length > 0) {
      this.#lost++;
      return;
    }
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    // While the reader is stopped, each further line would be a system call that fails.
    if (this.#retry === undefined) this.flush();
  }

  /** Writes as much of what waits as possible. */
  flush(): void {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    try {
      while (this.#takeNext()) continue;
    } catch (error) {
      // Nobody reads any more: what waits is lost, and the next line tries again.
      if (isEnd(error)) this.#drop();
      else this.#retryLater();
    }
  }

  /** Writes the first line that waits, or a part of it. @returns whether there may be more */
  #takeNext(): boolean {
    const [first] = this.#waiting;
    if (first === undefined) {
      if (this.#lost === 0) return false;
      const text = Buffer.from(this.#lostText(this.#lost));
      this.#lost = 0;
      this.#waiting.push(text);
      this.#waitingBytes += text.length;
      return true;
    }
    const written = this.#writeNow(first);
    this.#waitingBytes -= written;
    if (written === first.length) this.#waiting.shift();
    else this.#waiting[0] = first.subarray(written);
    return true;
  }

  #drop(): void {
    this.#lost += this.#waiting.length;
    this.#waiting = [];
    this.#waitingBytes = 0;
  }

  #retryLater(): void {
    this.#retry = setTimeout(() => this.flush(), retryEveryMs);
    this.#retry.unref();
  }
}

function writerOf(fd: 1 | 2): (bytes: Buffer) => number {
  // Node.js makes a pipe or socket non-blocking when it creates the stream.
  const stream = fd === 1 ? process.stdout : process.stderr;
  stream.on('error', () => undefined);
  const own = ownDescription(fd) ?? fd;
  return (bytes) => writeSync(own, bytes);
}

/** A pipe or terminal, opened again so that writing does not block; undefined where that is not possible. */
function ownDescription(fd: number): number | undefined {
  try {
    // A regular file would get an offset of its own, and a socket cannot be opened.
    if (!fstatSync(fd).isFIFO() && !isatty(fd)) return undefined;
    const { O_WRONLY, O_NONBLOCK, O_NOCTTY } = constants;
    return openSync(`/proc/self/fd/${fd}`, O_WRONLY | O_NONBLOCK | O_NOCTTY);
  } catch {
    return undefined;
  }
}

/** Whether there is no reader any more: a closed pipe, terminal or file. */
function isEnd(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return code === 'EPIPE' || code === 'EIO' || code === 'EBADF' || code === 'ECONNRESET';
}
