/**
 * Reads texts of callers in a thread of its own. A text of 256 KB can need seconds, in which a service that reads it
 * itself would answer nobody.
 *
 * The thread starts when there is something to read, and ends when there was nothing for a while, or when a text takes
 * too long.
 *
 * @module
 */
import { parentPort, Worker } from 'node:worker_threads';
import { systemClock, type Cancel, type Clock } from './clock.ts';
import { isErrorCode, type ErrorCode } from './errors/catalogue.ts';
import { FlotillaError, isFlotillaError, messageOf } from './errors/flotilla-error.ts';

/** How long one text may take, in ms: the slowest ones need 3 s of CPU time, and a busy machine several times as long. */
const readingMaxMs = 60_000;
const idleMs = 30_000;
/** Texts that wait, and those of one caller. */
const waitingMax = 64;
const waitingPerCallerMax = 4;
const heapMaxMb = 256;

/** What the thread sends back for one text. */
type ThreadReply<Result> =
  { readonly result: Result } | { readonly code: string; readonly detail: string | undefined };

interface WaitingText<Task, Result> {
  readonly task: Task;
  readonly caller: string;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

export interface ReadingThreadOptions {
  /** A module that calls {@link serveReading}. */
  readonly module: URL;
  /** The error for a text that takes too long or too much memory. */
  readonly tooLong: ErrorCode;
  readonly clock?: Clock;
}

/** One text is read at a time. */
export class ReadingThread<Task, Result> {
  readonly #options: ReadingThreadOptions;
  readonly #clock: Clock;
  readonly #waiting: WaitingText<Task, Result>[] = [];
  /** The text that is read now. */
  #current: WaitingText<Task, Result> | undefined;
  #worker: Worker | undefined;
  #cancelTimer: Cancel = () => undefined;

  constructor(options: ReadingThreadOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /**
   * Lets the thread do a task.
   *
   * @param caller who wants it: each caller has a share of the places
   * @throws FlotillaError `too-many-requests`, the code for texts that take too long, or the error of the task
   */
  run(task: Task, caller: string): Promise<Result> {
    const all = this.#current === undefined ? this.#waiting : [this.#current, ...this.#waiting];
    const own = all.filter((one) => one.caller === caller).length;
    if (own >= waitingPerCallerMax || all.length >= waitingMax) {
      const detail = `${own} texts of ${caller} are read`;
      return Promise.reject(
        new FlotillaError('too-many-requests', { retryAfterSeconds: 1, detail }),
      );
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ task, caller, resolve, reject });
      if (this.#current === undefined) this.#next();
    });
  }

  #next(): void {
    this.#cancelTimer();
    this.#current = this.#waiting.shift();
    if (this.#current === undefined) {
      this.#cancelTimer = this.#clock.after(idleMs, () => this.#end());
      return;
    }
    this.#cancelTimer = this.#clock.after(readingMaxMs, () => this.#giveUp());
    this.#worker ??= this.#start();
    this.#worker.postMessage(this.#current.task);
  }

  #start(): Worker {
    const worker = new Worker(this.#options.module, {
      name: 'reader',
      resourceLimits: { maxOldGenerationSizeMb: heapMaxMb },
    });
    // Nobody waits for it at the end of the process.
    worker.unref();
    worker.on('message', (reply: ThreadReply<Result>) => {
      const { current } = this.#taken(worker);
      if ('result' in reply) current?.resolve(reply.result);
      else {
        const code = isErrorCode(reply.code) ? reply.code : 'internal';
        const { detail } = reply;
        current?.reject(new FlotillaError(code, detail === undefined ? {} : { detail }));
      }
    });
    // The heap was too small.
    worker.on('error', (error) => {
      if (this.#worker === worker) this.#giveUp(messageOf(error));
    });
    return worker;
  }

  #taken(worker: Worker): { readonly current: WaitingText<Task, Result> | undefined } {
    if (this.#worker !== worker) return { current: undefined };
    const current = this.#current;
    this.#next();
    return { current };
  }

  #giveUp(detail = `reading it takes longer than ${readingMaxMs / 1000} seconds`): void {
    const current = this.#current;
    this.#end();
    current?.reject(new FlotillaError(this.#options.tooLong, { detail }));
    this.#next();
  }

  #end(): void {
    const worker = this.#worker;
    this.#worker = undefined;
    void worker?.terminate();
  }
}

/** The other side: does the tasks in the thread. */
export function serveReading(work: (task: unknown) => unknown): void {
  const port = parentPort;
  port?.on('message', (task: unknown) => {
    try {
      port.postMessage({ result: work(task) });
    } catch (error) {
      const known = isFlotillaError(error)
        ? { code: error.code, detail: error.detail }
        : { code: 'internal', detail: messageOf(error) };
      port.postMessage(known);
    }
  });
}
