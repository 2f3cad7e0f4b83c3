/**
 * The metrics of a broker that is a node of a cluster. One that works alone has no such series.
 *
 * @module
 */
import { Gauge, type Registry } from 'prom-client';
import type { PeerQueue } from '../contracts/partition-peers.ts';

/** What is known about the cluster at this node. */
export interface ClusterFacts {
  /** Partitions that no node serves. */
  readonly orphaned: readonly number[];
  readonly links: { readonly connected: number; readonly expected: number };
  readonly assignment:
    | {
        readonly held: ReadonlySet<number>;
        readonly nodes: readonly { readonly alive: boolean; readonly draining: boolean }[];
      }
    | undefined;
  /** What waits for other partitions. */
  readonly queued: readonly PeerQueue[];
  readonly relays: { readonly size: number };
}

const table: readonly (readonly [string, string, (facts: ClusterFacts) => number])[] = [
  [
    'flotilla_cluster_nodes',
    'Nodes of the cluster that are alive.',
    ({ assignment }) => assignment?.nodes.filter(({ alive }) => alive).length ?? 0,
  ],
  [
    'flotilla_cluster_partitions_held',
    'Partitions that this node serves.',
    ({ assignment }) => assignment?.held.size ?? 0,
  ],
  [
    'flotilla_cluster_partitions_unserved',
    'Partitions that no node serves: their devices cannot connect.',
    ({ orphaned }) => orphaned.length,
  ],
  [
    'flotilla_cluster_links_missing',
    'Links of the partitions of this node to other partitions that are not connected.',
    ({ links: { connected, expected } }) => expected - connected,
  ],
  [
    'flotilla_cluster_relayed_connections',
    'Connections to this node whose partition another node serves.',
    ({ relays }) => relays.size,
  ],
];

/** @param read the facts of one scrape; undefined: the broker works alone */
export function registerClusterGauges(
  registry: Registry,
  read: () => ClusterFacts | undefined,
): void {
  const registers = [registry];
  for (const [name, help, value] of table) {
    new Gauge({
      name,
      help,
      registers,
      collect() {
        const facts = read();
        if (facts === undefined) this.remove();
        else this.set(value(facts));
      },
    });
  }
  new Gauge({
    name: 'flotilla_cluster_peer_queue_messages',
    help: 'Messages of the partitions of this node that wait for another partition.',
    labelNames: ['peer'],
    registers,
    collect() {
      this.reset();
      const sums = new Map<string, number>();
      for (const { peer, messages } of read()?.queued ?? []) {
        sums.set(peer, (sums.get(peer) ?? 0) + messages);
      }
      for (const [peer, messages] of sums) this.set({ peer }, messages);
    },
  });
}
