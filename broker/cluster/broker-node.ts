/**
 * A broker of a cluster: takes partitions, serves them, links them to all others, and relays connections of the rest.
 *
 * @module
 */
import { z } from 'zod';
import type { Cancel, Clock } from '../../core/clock.ts';
import type { Config } from '../../core/config/config.ts';
import { databaseAccess, type DatabaseAccess } from '../../core/database/database-connection.ts';
import { FlotillaError, isFlotillaError } from '../../core/errors/flotilla-error.ts';
import type { Logger } from '../../core/log.ts';
import { packageVersion } from '../../core/package-version.ts';
import type { StateFolder } from '../../core/state-folder.ts';
import { admit, type TlsFacts } from '../admission/admission.ts';
import type { Admitter } from '../admission/admitter.ts';
import { ticketKeysLeftMs } from '../certificates/ticket-keys.ts';
import type { BrokerTlsMaterial } from '../certificates/tls-material.ts';
import type { Wire } from '../contracts/connection-wire.ts';
import type { PeerQueue } from '../contracts/partition-peers.ts';
import type { DirectoryView } from '../feed/broker-directory.ts';
import { openDatabaseStore, type DatabaseStore } from '../journal/database-store.ts';
import type { JournalFacts } from '../journal/journal-thread.ts';
import {
  createSessionLayer,
  type MqttSessionLayer,
  type SessionLayerOptions,
} from '../session/mqtt-session-layer.ts';
import { DeviceRelays } from './device-relays.ts';
import { HolderNotices, holderNoticeSchema } from './holder-notices.ts';
import { NodeTransport } from './node-transport.ts';
import { partitionName } from '../../core/partition.ts';
import { PartitionAssignment, type PartitionHolder } from './partition-assignment.ts';
import { PartitionLinks, partitionLinkSchema, type LinkedPartition } from './partition-links.ts';
import type { PartitionedLayer } from './partitioned-layer.ts';
import { RelayedConnections } from './relayed-connections.ts';
import { identityOfRelayed, relayedFactsSchema } from './relayed-identity.ts';

const connectTimeoutMs = 5000;
/** The devices of a partition that moves wait for the next node, so that none of them may delay it for longer, in ms. */
const movedCloseMaxMs = 250;
/** How long the last node waits at its end until the partitions have the messages of each other. */
const deliveredMaxMs = 3000;
const deliveredCheckMs = 20;

const requestSchema = z.discriminatedUnion('kind', [
  partitionLinkSchema,
  holderNoticeSchema,
  /** The node stops. */
  z.strictObject({ kind: z.literal('leaving') }),
  z.strictObject({
    kind: z.literal('device'),
    partition: z.int().min(0).max(1000),
    facts: relayedFactsSchema,
  }),
]);

export interface BrokerNodeDeps {
  readonly config: Config;
  readonly partitions: number;
  readonly state: StateFolder;
  readonly clock: Clock;
  readonly log: Logger;
  readonly material: BrokerTlsMaterial;
  readonly directory: DirectoryView;
  readonly admitter: Admitter;
  readonly layer: PartitionedLayer;
  /** What each session layer gets, without its store. */
  readonly sessions: Omit<SessionLayerOptions, 'store' | 'partition'>;
  /** A partition is served from now on: the presence of its identities must be corrected. */
  readonly taken: (partition: number, layer: MqttSessionLayer) => Promise<void>;
  readonly committed: (tookMs: number) => void;
  readonly stallChanged: (reason: string | undefined) => void;
  /** New connections need the material of now: the keys of session tickets have changed. */
  readonly ticketKeysChanged: () => void;
  /** This node must not continue. */
  readonly failed: (error: FlotillaError) => void;
}

interface Served extends LinkedPartition {
  readonly store: DatabaseStore;
}

export class BrokerNode {
  readonly relays: DeviceRelays;
  readonly #deps: BrokerNodeDeps;
  readonly #transport: NodeTransport;
  readonly #links: PartitionLinks;
  readonly #notices: HolderNotices;
  readonly #served = new Map<number, Served>();
  readonly #relayed = new RelayedConnections();
  #assignment: PartitionAssignment | undefined;
  #cancelTicketKeys: Cancel = () => undefined;

  constructor(deps: BrokerNodeDeps) {
    this.#deps = deps;
    const { clock, log, material, config, partitions } = deps;
    this.#transport = new NodeTransport({
      material: () => {
        const { key, chain } = material.identity;
        return { key, chain, authorities: material.authorities };
      },
      name: material.name,
      admits: (facts) => this.#admits(facts),
      ...{ clock, log, connectTimeoutMs },
      streamsMax: config.limits.broker.connectionsMax,
    });
    const holderOf = (partition: number): PartitionHolder | undefined =>
      this.#assignment?.holderOf(partition);
    this.relays = new DeviceRelays({
      ...{ clock, transport: this.#transport, holderOf },
      stalledMaxMs: () => config.limits.broker.outboundStalledMaxMs,
    });
    this.#links = new PartitionLinks({
      ...{ clock, log, partitions, holderOf, transport: this.#transport },
      served: this.#served,
    });
    this.#notices = new HolderNotices({
      ...{ own: material.name, partitions, holderOf, transport: this.#transport },
      isLeaving: (name) => {
        const node = this.#assignment?.nodes.find((one) => one.name === name);
        return node === undefined || node.draining;
      },
    });
    this.#transport.onStream((request, wire, from) => this.#accept(request, wire, from));
  }

  /** The nodes of the cluster, and what they hold. */
  get assignment(): PartitionAssignment | undefined {
    return this.#assignment;
  }

  /** Partitions that no node holds now. */
  get orphaned(): readonly number[] {
    const all = Array.from({ length: this.#deps.partitions }, (_, partition) => partition);
    return all.filter((partition) => this.#assignment?.holderOf(partition) === undefined);
  }

  /** The links of this node's partitions that are connected, and how many there should be. */
  get links(): { readonly connected: number; readonly expected: number } {
    let connected = 0;
    for (const { peers } of this.#served.values()) connected += peers.connected.length;
    return { connected, expected: this.#served.size * (this.#deps.partitions - 1) };
  }

  /** The journals of the partitions that this node holds. */
  get journals(): readonly JournalFacts[] {
    return Array.from(this.#served.values(), ({ store }) => store.facts());
  }

  /** What waits for other partitions. */
  get queued(): readonly PeerQueue[] {
    return Array.from(this.#served.values(), ({ peers }) => peers.queued).flat();
  }

  /**
   * Listens for other nodes, and begins to take partitions.
   *
   * @returns where it listens
   * @throws FlotillaError `address-in-use`, `config-invalid`, `database-…`, `cluster-…`
   */
  async start(): Promise<{ readonly host: string; readonly port: number }> {
    const { config, clock, log, material, partitions } = this.#deps;
    const { host, port, address } = config.cluster;
    const access = await databaseOf(config);
    const listening = await this.#transport.listen(host, port);
    this.#assignment = new PartitionAssignment({
      ...{ access, clock, log, partitions, version: packageVersion, node: material.name },
      address: () => address ?? hostPort(listening),
      take: (partition) => this.#take(partition),
      give: (partition) => this.#give(partition),
    });
    this.#assignment.onChange(() => {
      this.#links.check();
      this.#notices.check();
    });
    void this.#assignment.failed.then(this.#deps.failed);
    material.shareTickets(await this.#assignment.start(), () => clock.now());
    this.#changeTicketKeys();
    this.#links.start();
    return listening;
  }

  /** At once, and at the end of each day. */
  #changeTicketKeys(): void {
    const { clock, ticketKeysChanged } = this.#deps;
    ticketKeysChanged();
    const leftMs = ticketKeysLeftMs(clock.now());
    this.#cancelTicketKeys = clock.after(leftMs, () => this.#changeTicketKeys());
  }

  /** Other certificates for new connections of nodes. @throws when OpenSSL rejects them */
  reload(): void {
    this.#transport.reload();
  }

  /** Connections of nodes that are not admitted any more are closed. */
  review(): void {
    this.#transport.review();
  }

  /** Gives all partitions to other nodes. */
  async close(): Promise<void> {
    this.#cancelTicketKeys();
    if (this.#isLast) await this.#delivered();
    await this.#assignment?.close();
    this.#links.close();
    await this.#transport.close();
  }

  /** Whether no other node can continue with the partitions. */
  get #isLast(): boolean {
    const others = this.#assignment?.nodes.filter(({ name }) => name !== this.#deps.material.name);
    return others?.every(({ alive, draining }) => !alive || draining) === true;
  }

  /** Waits until nothing waits for other partitions, for a limited time: the sessions may be exported next. */
  #delivered(): Promise<void> {
    const { clock } = this.#deps;
    const endMs = clock.monotonicMs() + deliveredMaxMs;
    return new Promise((resolve) => {
      const check = (): void => {
        const waits = this.queued.some(({ messages }) => messages > 0);
        if (!waits || clock.monotonicMs() >= endMs) resolve();
        else clock.after(deliveredCheckMs, check);
      };
      check();
    });
  }

  async #take(partition: number): Promise<{ term: number } | undefined> {
    const { config, state, clock, log, layer, partitions } = this.#deps;
    const name = partitionName(partition);
    let store: DatabaseStore | undefined;
    try {
      store = await openDatabaseStore(config, { state, clock, log }, undefined, {
        name,
        index: partition,
        count: partitions,
      });
    } catch (error) {
      if (isFlotillaError(error, 'database-in-use')) return undefined;
      // No node can serve it, however often it is tried.
      if (isFlotillaError(error, 'store-exported')) this.#deps.failed(error);
      throw error;
    }
    if (store === undefined) return undefined;
    store.onStall(this.#deps.stallChanged);
    store.onCommit(this.#deps.committed);
    void store.failed.then(this.#deps.failed);
    try {
      return await this.#serve(partition, store);
    } catch (error) {
      // Otherwise the lock of the store would keep all nodes from taking it, this one too.
      this.#served.delete(partition);
      await (layer.remove(partition) ?? store.store).close();
      throw error;
    }
  }

  async #serve(partition: number, store: DatabaseStore): Promise<{ term: number }> {
    const { config, sessions, layer, partitions } = this.#deps;
    const name = partitionName(partition);
    const names = Array.from({ length: partitions }, (_, index) => partitionName(index));
    const served = await createSessionLayer(config, {
      ...sessions,
      store: store.store,
      partition: { own: name, names },
    });
    const { peers } = served;
    if (peers === undefined) throw new FlotillaError('internal', { detail: 'no partition' });
    const { term } = store.facts();
    layer.add(partition, served);
    this.#served.set(partition, { peers, term, store });
    await this.#deps.taken(partition, served);
    this.#links.check();
    return { term };
  }

  async #give(partition: number): Promise<void> {
    const { layer } = this.#deps;
    this.#served.delete(partition);
    const served = layer.remove(partition);
    served?.endConnections('partition-moved');
    await served?.close(movedCloseMaxMs);
  }

  #accept(request: unknown, wire: Wire, from: string): void {
    const { layer, directory, clock, admitter, log } = this.#deps;
    const parsed = requestSchema.safeParse(request);
    if (!parsed.success) {
      log.warn({ detail: parsed.error.message }, 'a node sent a request that is not valid');
      wire.destroy();
      return;
    }
    const { data } = parsed;
    if (data.kind === 'link') {
      this.#links.accept(data, wire);
      return;
    }
    if (data.kind === 'leaving') {
      wire.destroy();
      this.#relayed.nodeLeaves(from);
      return;
    }
    if (data.kind === 'held') {
      wire.destroy();
      this.#heldElsewhere(data.partition, data.term);
      return;
    }
    const identity = identityOfRelayed(data.facts, directory, clock.now());
    // Not relayed a second time: the other node looks again.
    if ('code' in identity || layer.layerOf(identity.id) === undefined) {
      wire.destroy();
      return;
    }
    const connection = admitter.acceptRelayed(wire, identity, () => {
      if (connection !== undefined) this.#relayed.delete(from, connection);
    });
    if (connection !== undefined) this.#relayed.add(from, connection);
  }

  /** Another node has begun a later term: this one writes nothing any more, and must not continue. */
  #heldElsewhere(partition: number, term: number): void {
    const served = this.#served.get(partition);
    if (served === undefined || served.term >= term) return;
    const detail = `partition ${partition}: term ${served.term} was followed by term ${term}`;
    this.#deps.failed(new FlotillaError('database-fenced', { detail }));
  }

  /** The name of a broker that may connect as a node. */
  #admits(facts: TlsFacts): string | undefined {
    const { directory, clock } = this.#deps;
    const admission = admit(facts, directory, clock.now());
    if (!admission.admitted || admission.identity.entry.role !== 'broker') return undefined;
    return admission.identity.id;
  }
}

async function databaseOf(config: Config): Promise<DatabaseAccess> {
  const access = await databaseAccess(config.broker);
  if (access !== undefined) return access;
  const detail = 'cluster.partitions needs broker.database';
  throw new FlotillaError('config-invalid', { detail });
}

function hostPort({ host, port }: { readonly host: string; readonly port: number }): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
