/**
 * What the broker needs of its session layer beyond {@link SessionLayer}: the layer of a broker that works alone, or
 * the layers of the partitions that a broker of a cluster holds.
 *
 * @module
 */
import type { SessionLayer } from './session-layer.ts';

/** What is written in one turn of the event loop is written together. */
export interface LayerTurn {
  /** Whether not everything was written yet: what was received before is still in use. */
  readonly isBehind: boolean;
  hold(): void;
  flush(): void;
}

export interface BrokerLayer extends SessionLayer {
  readonly turn: LayerTurn;
  /** Why the store cannot be written at the moment; undefined while it can. */
  readonly storeStalled: string | undefined;
  /** Copies the store to a new file. @returns false when there is no store on the disk */
  copyStore(path: string): Promise<boolean>;
  /**
   * Closes all connections, because this process will close the layer next: wills in a durable store wait for whoever
   * opens it (3.1.1, section 3.1.2.5).
   */
  endConnections(): void;
}
