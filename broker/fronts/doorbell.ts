/**
 * Wakes a thread that waits for frames: one shared word for each thread, which is 1 while it sleeps.
 *
 * Measured against messages of a port: the shared word costs a third less for a thread that sleeps
 * between two messages, and nothing for a thread that is awake.
 *
 * @module
 */

/** The words of the threads are 64 bytes apart, so that they do not share a cache line. */
const stride = 16;
/** The word of the core thread; that of front n (from 0) is n + 1. */
export const coreThread = 0;

/** Memory for the words of the core and so many fronts. */
export function bellMemory(fronts: number): SharedArrayBuffer {
  return new SharedArrayBuffer(4 * stride * (fronts + 1));
}

export class Bell {
  readonly #words: Int32Array;
  readonly #at: number;

  constructor(memory: SharedArrayBuffer, thread: number) {
    this.#words = new Int32Array(memory);
    this.#at = thread * stride;
  }

  /** Wakes the thread if it sleeps. */
  ring(): void {
    if (
      Atomics.load(this.#words, this.#at) === 1 &&
      Atomics.compareExchange(this.#words, this.#at, 1, 0) === 1
    ) {
      Atomics.notify(this.#words, this.#at);
    }
  }
}

export interface DrainWork {
  /** Handles what is there. */
  drain(): void;
  isEmpty(): boolean;
}

/** Runs the work of a thread whenever its bell rings, without blocking its event loop. */
export class DrainLoop {
  readonly #words: Int32Array;
  readonly #at: number;
  readonly #work: DrainWork;
  #scheduled = false;
  #stopped = false;

  constructor(memory: SharedArrayBuffer, thread: number, work: DrainWork) {
    this.#words = new Int32Array(memory);
    this.#at = thread * stride;
    this.#work = work;
  }

  start(): void {
    this.#later();
  }

  stop(): void {
    this.#stopped = true;
    // The wait that is under way ends, so that nothing refers to this loop any more.
    Atomics.store(this.#words, this.#at, 0);
    Atomics.notify(this.#words, this.#at);
  }

  readonly #next = (): void => {
    this.#scheduled = false;
    this.#run();
  };

  readonly #run = (): void => {
    if (this.#stopped) return;
    this.#work.drain();
    // Other work of the thread runs before the next round.
    if (!this.#work.isEmpty()) return this.#later();
    Atomics.store(this.#words, this.#at, 1);
    if (!this.#work.isEmpty()) {
      Atomics.store(this.#words, this.#at, 0);
      return this.#later();
    }
    const waiting = Atomics.waitAsync(this.#words, this.#at, 1);
    if (waiting.async) void waiting.value.then(this.#run);
    else this.#later();
  };

  #later(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#next);
  }
}
