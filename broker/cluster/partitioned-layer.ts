/**
 * The session layers of the partitions that this node holds, as one session layer. Connections of identities whose
 * partition another node holds are relayed to it.
 *
 * @module
 */
import type { BrokerLayer, LayerTurn } from '../contracts/broker-layer.ts';
import type { Wire } from '../contracts/connection-wire.ts';
import type { Identity } from '../contracts/identity.ts';
import type { SessionInspection } from '../contracts/session-inspection.ts';
import type { BrokerMessage, Connection, SessionStatistics } from '../contracts/session-layer.ts';
import type { MqttSessionLayer } from '../session/mqtt-session-layer.ts';
import { partitionOf } from '../../core/partition.ts';
import { PartitionedInspection } from './partitioned-inspection.ts';

/** Passes connections to the node that holds their partition. */
export interface ConnectionRelays {
  /** @param closed called once, when the connection is closed */
  accept(partition: number, wire: Wire, identity: Identity, closed?: () => void): Connection;
  /** This node stops: the nodes that hold the sessions of these connections close them, with that reason. */
  leave(): void;
}

export class PartitionedLayer implements BrokerLayer {
  readonly inspection: SessionInspection;
  readonly turn: LayerTurn;
  readonly #relays: () => ConnectionRelays;
  readonly #partitions: number;
  /** By the number of the partition. */
  readonly #layers = new Map<number, MqttSessionLayer>();

  /** @param relays a function, because they are created later */
  constructor(partitions: number, relays: () => ConnectionRelays) {
    this.#partitions = partitions;
    this.#relays = relays;
    this.inspection = new PartitionedInspection(() => [...this.#layers.values()]);
    this.turn = new SharedTurn(this.#layers);
  }

  /** The partitions that this node serves. */
  get partitions(): ReadonlyMap<number, MqttSessionLayer> {
    return this.#layers;
  }

  /** Serves a partition from now on. */
  add(partition: number, layer: MqttSessionLayer): void {
    this.#layers.set(partition, layer);
  }

  /** Does not serve a partition any more. Its layer must be closed by the caller. */
  remove(partition: number): MqttSessionLayer | undefined {
    const layer = this.#layers.get(partition);
    this.#layers.delete(partition);
    return layer;
  }

  /** The layer that has the sessions of an identity; undefined: another node holds its partition. */
  layerOf(id: string): MqttSessionLayer | undefined {
    return this.#layers.get(partitionOf(id, this.#partitions));
  }

  accept(wire: Wire, identity: Identity, closed?: () => void): Connection {
    const layer = this.layerOf(identity.id);
    if (layer !== undefined) return layer.accept(wire, identity, closed);
    const partition = partitionOf(identity.id, this.#partitions);
    return this.#relays().accept(partition, wire, identity, closed);
  }

  /** Those of the partitions that this node holds, whichever node their clients are connected to. */
  *connections(): Generator<Connection> {
    for (const layer of this.#layers.values()) yield* layer.connections();
  }

  connectionsOf(id: string): readonly Connection[] {
    return this.layerOf(id)?.connectionsOf(id) ?? [];
  }

  endConnections(): void {
    for (const layer of this.#layers.values()) layer.endConnections();
    this.#relays().leave();
  }

  /** A node that holds no partition has nothing to report. */
  publish(...messages: readonly BrokerMessage[]): Promise<void> {
    const [layer] = this.#layers.values();
    return layer === undefined ? Promise.resolve() : layer.publish(...messages);
  }

  /** Each partition has all retained messages. */
  async *retained(filter: string): AsyncGenerator<{ topic: string; payload: Buffer }> {
    const [layer] = this.#layers.values();
    if (layer !== undefined) yield* layer.retained(filter);
  }

  statistics(): SessionStatistics {
    const all = [...this.#layers.values()].map((layer) => layer.statistics());
    const sum = (of: (one: SessionStatistics) => number): number =>
      all.reduce((total, one) => total + of(one), 0);
    return {
      messagesIn: [
        sum(({ messagesIn }) => messagesIn[0]),
        sum(({ messagesIn }) => messagesIn[1]),
        sum(({ messagesIn }) => messagesIn[2]),
      ],
      messagesOut: [
        sum(({ messagesOut }) => messagesOut[0]),
        sum(({ messagesOut }) => messagesOut[1]),
        sum(({ messagesOut }) => messagesOut[2]),
      ],
      bytesIn: sum(({ bytesIn }) => bytesIn),
      bytesOut: sum(({ bytesOut }) => bytesOut),
      sessions: sum(({ sessions }) => sessions),
      subscriptions: sum(({ subscriptions }) => subscriptions),
      // The same in each partition.
      retained: Math.max(0, ...all.map(({ retained }) => retained)),
      queuedMessages: sum(({ queuedMessages }) => queuedMessages),
      queuedBytes: sum(({ queuedBytes }) => queuedBytes),
      storeCommits: sum(({ storeCommits }) => storeCommits),
      storeCommitMs: sum(({ storeCommitMs }) => storeCommitMs),
    };
  }

  /** Each partition has retained messages of all identities. */
  async forget(id: string, options?: { readonly withRetained: boolean }): Promise<void> {
    await Promise.all(Array.from(this.#layers.values(), (layer) => layer.forget(id, options)));
  }

  get storeStalled(): string | undefined {
    for (const { storeStalled } of this.#layers.values()) {
      if (storeStalled !== undefined) return storeStalled;
    }
    return undefined;
  }

  copyStore(): Promise<boolean> {
    return Promise.resolve(false);
  }

  /** Closes the layers that are still here. */
  async close(): Promise<void> {
    const layers = [...this.#layers.values()];
    this.#layers.clear();
    await Promise.all(layers.map((layer) => layer.close()));
  }
}

/** The turns of several session layers in one event loop. */
class SharedTurn implements LayerTurn {
  readonly #layers: ReadonlyMap<number, MqttSessionLayer>;

  constructor(layers: ReadonlyMap<number, MqttSessionLayer>) {
    this.#layers = layers;
  }

  get isBehind(): boolean {
    for (const { turn } of this.#layers.values()) if (turn.isBehind) return true;
    return false;
  }

  hold(): void {
    for (const { turn } of this.#layers.values()) turn.hold();
  }

  flush(): void {
    for (const { turn } of this.#layers.values()) turn.flush();
  }
}
