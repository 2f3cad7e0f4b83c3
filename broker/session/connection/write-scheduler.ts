/**
 * The end of a turn of the event loop: one commit of the store for all that arrived, one write to
 * each connection that is owed something.
 *
 * @module
 */
import type { FlotillaError } from '../../../core/errors/flotilla-error.ts';
import type { Outbox } from '../output/write-batch.ts';
import type { Services } from '../state/context.ts';

/** A connection, as far as flushing needs it. */
export interface Flushable {
  /** Writes what the connection is owed. */
  flush(): void;
  /** Takes the packets that wait for the store; undefined when there are none. */
  takeGated(): Outbox | undefined;
  /** They may leave. `failed`: the store cannot write; they never may. */
  releaseGated(box: Outbox, failed: boolean): void;
}

export class Flusher {
  readonly #services: Services;
  #ready: Flushable[] = [];
  #gated: Flushable[] = [];
  #scheduled = false;
  #broken = false;
  readonly #run: () => void;

  constructor(services: Services) {
    this.#services = services;
    this.#run = () => this.flush();
  }

  /** The connection has something to write. */
  ready(connection: Flushable): void {
    this.#ready.push(connection);
    this.#schedule();
  }

  /** The connection has something to write once the store committed. */
  gated(connection: Flushable): void {
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
    const boxes: { connection: Flushable; box: Outbox }[] = [];
    for (const connection of gated) {
      const box = connection.takeGated();
      if (box !== undefined) boxes.push({ connection, box });
    }
    const { store, counters, clock } = this.#services;
    const startMs = clock.monotonicMs();
    store.afterCommit((error) => {
      counters.storeCommits++;
      counters.storeCommitMs += clock.monotonicMs() - startMs;
      if (error !== undefined) this.#failed(error);
      for (const { connection, box } of boxes) connection.releaseGated(box, error !== undefined);
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
