/**
 * Relays the connections of devices whose partition another node holds. The node that holds it decides everything: this
 * one passes bytes.
 *
 * @module
 */
import type { Cancel, Clock } from '../../core/clock.ts';
import type { Wire } from '../contracts/connection-wire.ts';
import type { Identity } from '../contracts/identity.ts';
import type { Connection } from '../contracts/session-layer.ts';
import { LateWire } from './late-wire.ts';
import type { NodeTransport } from './node-transport.ts';
import type { PartitionHolder } from './partition-assignment.ts';
import type { ConnectionRelays } from './partitioned-layer.ts';
import { relay } from './relay.ts';
import { relayedFactsOf } from './relayed-identity.ts';

/** How long a connection waits until a node holds its partition, in ms. */
const holderWaitMaxMs = 15_000;
const holderCheckMs = 100;

export interface DeviceRelaysDeps {
  readonly clock: Clock;
  readonly transport: Pick<NodeTransport, 'open'>;
  /** How long a device may read nothing while bytes wait for it, in ms. */
  stalledMaxMs(): number;
  /** The node that holds a partition now; undefined: none that can be reached, or this one. */
  holderOf(partition: number): PartitionHolder | undefined;
}

export class DeviceRelays implements ConnectionRelays {
  readonly #deps: DeviceRelaysDeps;
  readonly #open = new Set<RelayedConnection>();

  constructor(deps: DeviceRelaysDeps) {
    this.#deps = deps;
  }

  /** The connections that are relayed now, and those that wait. */
  get size(): number {
    return this.#open.size;
  }

  accept(partition: number, wire: Wire, identity: Identity, closed?: () => void): Connection {
    const { clock } = this.#deps;
    const stream = new LateWire();
    const connection = new RelayedConnection(identity, clock.now(), wire, stream);
    this.#open.add(connection);
    relay(wire, stream, {
      clock,
      stalledMaxMs: this.#deps.stalledMaxMs(),
      closed: () => {
        connection.cancelWait();
        this.#open.delete(connection);
        closed?.();
      },
    });
    this.#attach(partition, connection, clock.monotonicMs() + holderWaitMaxMs);
    return connection;
  }

  leave(): void {
    const holders = new Map<string, PartitionHolder>();
    for (const connection of [...this.#open]) {
      const { holder } = connection;
      if (holder === undefined) connection.cut();
      else holders.set(holder.node, holder);
    }
    for (const { node, address } of holders.values()) {
      this.#deps.transport.open(address, node, { kind: 'leaving' }).end();
    }
  }

  #attach(partition: number, connection: RelayedConnection, untilMs: number): void {
    const { clock, transport } = this.#deps;
    const { stream, identity } = connection;
    if (stream.isOver) return;
    const holder = this.#deps.holderOf(partition);
    if (holder !== undefined) {
      connection.holder = holder;
      const request = { kind: 'device', partition, facts: relayedFactsOf(identity) };
      stream.attach(transport.open(holder.address, holder.node, request));
      return;
    }
    if (clock.monotonicMs() >= untilMs) {
      connection.cut();
      return;
    }
    connection.cancelWait = clock.after(holderCheckMs, () => {
      this.#attach(partition, connection, untilMs);
    });
  }
}

class RelayedConnection implements Connection {
  readonly identity: Identity;
  /** Only the node that holds the session knows it. */
  readonly clientId = undefined;
  readonly protocolVersion = undefined;
  readonly connectedAtMs: number;
  readonly stream: LateWire;
  /** The node that it is relayed to; undefined while it waits for one. */
  holder: PartitionHolder | undefined = undefined;
  readonly #device: Wire;
  cancelWait: Cancel = () => undefined;

  constructor(identity: Identity, connectedAtMs: number, device: Wire, stream: LateWire) {
    this.identity = identity;
    this.connectedAtMs = connectedAtMs;
    this.#device = device;
    this.stream = stream;
  }

  reauthorize(): void {
    // The node that holds the session does it.
  }

  close(): void {
    // The node that holds the session closes it, and says why.
  }

  cut(): void {
    this.cancelWait();
    this.stream.destroy();
    this.#device.destroy();
  }
}
