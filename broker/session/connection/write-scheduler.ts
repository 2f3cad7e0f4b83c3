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
  releaseAfterCommit(batch: WriteBatch, failed: boolean): void;
}

export class WriteScheduler {
  readonly #services: SessionContext;
  #ready: FlushTarget[] = [];
  #gated: FlushTarget[] = [];
  #scheduled = false;
  #broken = false;
  readonly #run: () => void;

  constructor(context: SessionContext) {
    this.#services = context;
    this.#run = () => this.flush();
  }

  /** The connection has something to write. */
  ready(connection: FlushTarget): void {
    this.#ready.push(connection);
    this.#schedule();
  }

  /** The connection has something to write once the store committed. */
  readyAfterCommit(connection: FlushTarget): void {
    this.#gated.push(connection);
    this.#schedule();
  }

  /** Does it now: all that is due. */
  flush(): void {
    this.#scheduled = false;
    if (this.#gated.length > 0) this.#commit();
    const ready = this.#ready;
    this.#ready = [];
    for (const connection of ready) connection.flush();
  }

  #commit(): void {
    const gated = this.#gated;
    this.#gated = [];
    const boxes: { connection: FlushTarget; batch: WriteBatch }[] = [];
    for (const connection of gated) {
      const batch = connection.takeAwaitingCommit();
      if (batch !== undefined) boxes.push({ connection, batch });
    }
    const { store, counters, clock } = this.#services;
    const startMs = clock.monotonicMs();
    store.afterCommit((error) => {
      counters.storeCommits++;
      counters.storeCommitMs += clock.monotonicMs() - startMs;
      if (error !== undefined) this.#failed(error);
      for (const { connection, batch } of boxes)
        connection.releaseAfterCommit(batch, error !== undefined);
    });
  }

  /** The store writes no more: told once, whatever waits. */
  #failed(error: FlotillaError): void {
    if (this.#broken) return;
    this.#broken = true;
    this.#services.log.fatal({ err: error }, 'the store cannot write: nothing can be acknowledged');
    this.#services.events.storeFailed?.(error);
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#run);
  }
}
