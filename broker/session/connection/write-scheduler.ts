/**
 * The end of a turn of the event loop: one commit of the store for all messages of the turn, and one
 * write to each connection that has something to send. If there are so many connections that this takes
 * long, the others are written to in the next turns.
 *
 * @module
 */
import type { FlotillaError } from '../../../core/errors/flotilla-error.ts';
import type { WriteBatch } from '../output/write-batch.ts';
import type { SessionContext } from '../state/context.ts';

/** A connection that is flushed. */
export interface FlushTarget {
  /** Writes the packets that may leave. */
  flush(): void;
}

/** Packets of a connection that wait for a commit. */
export interface CommitTarget {
  /** Takes the packets that wait for the commit; undefined if there are none. */
  takeAwaitingCommit(): WriteBatch | undefined;
  /** The commit is done, so that they may leave. `failed`: the store cannot write, so they never may. */
  onCommit(batch: WriteBatch, failed: boolean): void;
}

/** What the scheduler needs from the context. */
export interface SchedulerContext extends Pick<
  SessionContext,
  'clock' | 'counters' | 'log' | 'store'
> {
  readonly events: Pick<SessionContext['events'], 'storeFailed'>;
}

/** How long the writes of one turn may take, in ms. A write with TLS takes 10 to 25 µs. */
const flushMaxMs = 5;
/** The clock is read after so many connections, so that the usual turn never reads it. */
const connectionsPerCheck = 32;

export class WriteScheduler {
  readonly #context: SchedulerContext;
  #ready: FlushTarget[] = [];
  #awaitingCommit: CommitTarget[] = [];
  /** Whether the next turn flushes. */
  #scheduled = false;
  /** Whether the caller of {@link hold} flushes. */
  #held = false;
  /** When the last flush ended without having written to all; -1: it wrote to all. Monotonic, in ms. */
  #behindSinceMs = -1;
  #storeFailed = false;
  readonly #run: () => void;

  constructor(context: SchedulerContext) {
    this.#context = context;
    this.#run = () => {
      this.#scheduled = false;
      this.flush();
    };
  }

  /** The connection has packets to write at the end of this turn. */
  ready(connection: FlushTarget): void {
    this.#ready.push(connection);
    this.#schedule();
  }

  /** There are packets to write after the next commit. */
  readyAfterCommit(target: CommitTarget): void {
    this.#awaitingCommit.push(target);
    this.#schedule();
  }

  /** Nothing is scheduled until the next {@link flush}: the caller flushes at the end of its turn. */
  hold(): void {
    this.#held = true;
  }

  /** Whether connections wait for the next turn: the bytes that were received are still in use. */
  get isBehind(): boolean {
    return this.#behindSinceMs >= 0;
  }

  /**
   * Starts the commit now, and flushes the connections in the order in which they became ready: as many as
   * {@link flushMaxMs} allows, the others in the next turns.
   */
  flush(): void {
    this.#held = false;
    if (this.#awaitingCommit.length > 0) this.#commit();
    const ready = this.#ready;
    this.#ready = [];
    if (ready.length > connectionsPerCheck) {
      this.#flushInTime(ready);
      return;
    }
    this.#behindSinceMs = -1;
    for (const connection of ready) connection.flush();
  }

  #flushInTime(ready: readonly FlushTarget[]): void {
    const { clock } = this.#context;
    const startMs = clock.monotonicMs();
    // After a first turn, writing has as much time as everything else: it must not fall behind for good.
    const elseMs = this.isBehind ? startMs - this.#behindSinceMs : 0;
    const untilMs = startMs + Math.max(flushMaxMs, elseMs);
    this.#behindSinceMs = -1;
    let flushed = 0;
    for (const connection of ready) {
      if (flushed > 0 && flushed % connectionsPerCheck === 0) {
        const nowMs = clock.monotonicMs();
        if (nowMs >= untilMs) {
          this.#behindSinceMs = nowMs;
          break;
        }
      }
      flushed++;
      connection.flush();
    }
    if (!this.isBehind) return;
    this.#ready = [...ready.slice(flushed), ...this.#ready];
    this.#schedule();
  }

  #commit(): void {
    const targets = this.#awaitingCommit;
    this.#awaitingCommit = [];
    const batches: { target: CommitTarget; batch: WriteBatch }[] = [];
    for (const target of targets) {
      const batch = target.takeAwaitingCommit();
      if (batch !== undefined) batches.push({ target, batch });
    }
    const { store, counters, clock } = this.#context;
    const startMs = clock.monotonicMs();
    store.afterCommit((error) => {
      counters.storeCommits++;
      counters.storeCommitMs += clock.monotonicMs() - startMs;
      if (error !== undefined) this.#reportStoreFailure(error);
      for (const { target, batch } of batches) target.onCommit(batch, error !== undefined);
    });
  }

  /** Reports once that the store cannot write any more. */
  #reportStoreFailure(error: FlotillaError): void {
    if (this.#storeFailed) return;
    this.#storeFailed = true;
    this.#context.log.fatal({ err: error }, 'the store cannot write: nothing can be acknowledged');
    this.#context.events.storeFailed?.(error);
  }

  #schedule(): void {
    if (this.#scheduled || this.#held) return;
    this.#scheduled = true;
    setImmediate(this.#run);
  }
}
