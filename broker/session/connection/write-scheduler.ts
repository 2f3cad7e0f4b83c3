/**
 * The end of a turn of the event loop: one commit of the store for all that arrived, one write to
 * each connection that is owed something.
 *
 * @module
 */
import type { FlotillaError } from '../../../core/errors/flotilla-error.ts';
import type { WriteBatch } from '../output/write-batch.ts';
import type { SessionContext } from '../state/context.ts';

/** A connection, as far as flushing needs it. */
export interface FlushTarget {
  /** Writes what the connection is owed. */
  flush(): void;
  /** Takes the packets that wait for the store; undefined when there are none. */
  takeAwaitingCommit(): WriteBatch | undefined;
  /** They may leave. `failed`: the store cannot write; they never may. */
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

  /** The connection has something to write. */
  ready(connection: FlushTarget): void {
    this.#ready.push(connection);
    this.#schedule();
  }

  /** The connection has something to write once the store committed. */
  readyAfterCommit(connection: FlushTarget): void {
    this.#awaitingCommit.push(connection);
    this.#schedule();
  }

  /** Does it now: all that is due. */
  flush(): void {
    this.#scheduled = false;
    if (this.#awaitingCommit.length > 0) this.#commit();
    const ready = this.#ready;
    this.#ready = [];
    for (const connection of ready) connection.flush();
  }

  #commit(): void {
    const gated = this.#awaitingCommit;
    this.#awaitingCommit = [];
    const boxes: { connection: FlushTarget; batch: WriteBatch }[] = [];
    for (const connection of gated) {
      const batch = connection.takeAwaitingCommit();
      if (batch !== undefined) boxes.push({ connection, batch });
    }
    const { store, counters, clock } = this.#context;
    const startMs = clock.monotonicMs();
    store.afterCommit((error) => {
      counters.storeCommits++;
      counters.storeCommitMs += clock.monotonicMs() - startMs;
      if (error !== undefined) this.#reportStoreFailure(error);
      for (const { connection, batch } of boxes) connection.onCommit(batch, error !== undefined);
    });
  }

  /** The store writes no more: told once, whatever waits. */
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
