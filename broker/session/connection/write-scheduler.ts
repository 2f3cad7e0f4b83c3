/**
 * The end of a turn of the event loop: one commit of the store for all messages of the turn, and one
 * write to each connection that has something to send.
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
  /** Takes the packets that wait for the commit; undefined if there are none. */
  takeAwaitingCommit(): WriteBatch | undefined;
  /** The commit is done, so that they may leave. `failed`: the store cannot write, so they never may. */
  onCommit(batch: WriteBatch, failed: boolean): void;
}

export class WriteScheduler {
  readonly #context: SessionContext;
  #ready: FlushTarget[] = [];
  #awaitingCommit: FlushTarget[] = [];
  #scheduled = false;
  #storeFailed = false;
  readonly #run: () => void;

  constructor(context: SessionContext) {
    this.#context = context;
    this.#run = () => this.flush();
  }

  /** The connection has packets to write at the end of this turn. */
  ready(connection: FlushTarget): void {
    this.#ready.push(connection);
    this.#schedule();
  }

  /** The connection has packets to write after the next commit. */
  readyAfterCommit(connection: FlushTarget): void {
    this.#awaitingCommit.push(connection);
    this.#schedule();
  }

  /** Nothing is scheduled until the next {@link flush}: the caller flushes at the end of its turn. */
  hold(): void {
    this.#scheduled = true;
  }

  /** Flushes all connections and starts the commit now. */
  flush(): void {
    this.#scheduled = false;
    if (this.#awaitingCommit.length > 0) this.#commit();
    const ready = this.#ready;
    this.#ready = [];
    for (const connection of ready) connection.flush();
  }

  #commit(): void {
    const connections = this.#awaitingCommit;
    this.#awaitingCommit = [];
    const batches: { connection: FlushTarget; batch: WriteBatch }[] = [];
    for (const connection of connections) {
      const batch = connection.takeAwaitingCommit();
      if (batch !== undefined) batches.push({ connection, batch });
    }
    const { store, counters, clock } = this.#context;
    const startMs = clock.monotonicMs();
    store.afterCommit((error) => {
      counters.storeCommits++;
      counters.storeCommitMs += clock.monotonicMs() - startMs;
      if (error !== undefined) this.#reportStoreFailure(error);
      for (const { connection, batch } of batches) {
        connection.onCommit(batch, error !== undefined);
      }
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
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#run);
  }
}
