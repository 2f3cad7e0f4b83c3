/**
 * The connections that other nodes relay to this one, by the node: those of a node that stops in order are closed with that
 * reason, because their devices come back at another node.
 *
 * @module
 */
import type { Connection } from '../contracts/session-layer.ts';

export class RelayedConnections {
  readonly #byNode = new Map<string, Set<Connection>>();

  add(node: string, connection: Connection): void {
    const known = this.#byNode.get(node);
    if (known === undefined) this.#byNode.set(node, new Set([connection]));
    else known.add(connection);
  }

  delete(node: string, connection: Connection): void {
    const known = this.#byNode.get(node);
    known?.delete(connection);
    if (known?.size === 0) this.#byNode.delete(node);
  }

  /** A node stops. */
  nodeLeaves(node: string): void {
    for (const connection of [...(this.#byNode.get(node) ?? [])]) {
      connection.close('server-shutting-down');
    }
  }
}
