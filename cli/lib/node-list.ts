/**
 * The nodes of a cluster and the partitions that they hold, as `flotilla node list` shows them.
 *
 * @module
 */
import { z } from 'zod';
import { partitionName } from '../../core/partition.ts';
import type { ClusterLook, NodeRow, PartitionRow } from '../../broker/cluster/cluster-rows.ts';
import { amountText } from '../../core/amount-text.ts';
import { table, type Output } from './output.ts';

const nodeSchema = z.object({
  name: z.string(),
  /** Where the other nodes find it, as `host:port`. */
  address: z.string(),
  version: z.string(),
  /** `dead`: it has given no sign of life for a while. `failing`: it could not take over a partition. */
  state: z.enum(['alive', 'draining', 'failing', 'dead']),
  seenAt: z.iso.datetime(),
  /** The names of the partitions that it holds. */
  partitions: z.array(z.string()),
  /** The names of those that it is taking over. */
  taking: z.array(z.string()),
});

/** The document of `flotilla node list --json`. */
export const nodeListSchema = z.object({
  /** Each partition has a holder that is alive. */
  ok: z.boolean(),
  /** Into how many partitions the identities are divided. */
  partitions: z.int(),
  nodes: z.array(nodeSchema),
  /** The names of the partitions that no node holds which is alive. */
  unheld: z.array(z.string()),
});
export type NodeList = z.infer<typeof nodeListSchema>;

/** A broker gives a sign of life each second. */
const silentMaxMs = 5000;

/**
 * The list that a look at the database shows.
 *
 * @param nowMs the time of day
 */
export function nodeListOf({ nodes: rows, partitions }: ClusterLook, nowMs: number): NodeList {
  // A broker that was started again may have a row of its former process as well.
  const newest = new Map<string, NodeRow>();
  for (const row of rows) {
    const other = newest.get(row.node);
    if (other === undefined || row.silentMs < other.silentMs) newest.set(row.node, row);
  }
  const nodes = [...newest.values()]
    .map((row) => nodeOf(row, partitions, nowMs))
    .sort((one, other) => (one.name < other.name ? -1 : 1));
  const held = new Set(nodes.flatMap((node) => (node.state === 'dead' ? [] : node.partitions)));
  const unheld = partitions.map((_, index) => partitionName(index)).filter((one) => !held.has(one));
  return { ok: unheld.length === 0, partitions: partitions.length, nodes, unheld };
}

function nodeOf(
  row: NodeRow,
  rows: readonly PartitionRow[],
  nowMs: number,
): NodeList['nodes'][number] {
  const { node: name, run, address, version, silentMs } = row;
  const where = (matches: (row: PartitionRow) => boolean): string[] =>
    rows.flatMap((one, index) => (matches(one) ? [partitionName(index)] : []));
  return {
    ...{ name, address, version },
    state: stateOf(row),
    seenAt: new Date(nowMs - silentMs).toISOString(),
    partitions: where((one) => holderOf(one) === name),
    taking: where((one) => one.claimRun === run && holderOf(one) !== name),
  };
}

function stateOf(row: NodeRow): NodeList['nodes'][number]['state'] {
  if (!row.isConnected || row.silentMs >= silentMaxMs) return 'dead';
  if (row.draining || row.isDrainAsked) return 'draining';
  return row.failing ? 'failing' : 'alive';
}

/** The node that serves a partition: it has the lock, and no other one has begun a later term. */
function holderOf({ node, pid, term, storeTerm }: PartitionRow): string | undefined {
  return node === null || pid === null || term !== storeTerm ? undefined : node;
}

/** The table for people, and what is wrong. */
export function nodeListText({ nodes, unheld }: NodeList, out: Output): string {
  const colors = { alive: 'green', draining: 'yellow', failing: 'red', dead: 'red' } as const;
  const rows = nodes.map(({ name, address, version, state, seenAt, partitions: held }) => [
    name,
    out.style.color(colors[state], state),
    address,
    version,
    out.time(seenAt),
    held.length === 0 ? '-' : held.join(' '),
  ]);
  const missing = unheld.length === 0 ? 'none' : out.style.color('red', unheld.join(' '));
  return [
    table([['NODE', 'STATE', 'ADDRESS', 'VERSION', 'SEEN', 'PARTITIONS'], ...rows]),
    '',
    `partitions without a node: ${missing}`,
  ].join('\n');
}

/** What prevents or remains of a drain. */
export interface DrainView {
  /** The partitions that the node still holds, or is taking. */
  readonly holds: readonly string[];
  /** The partitions that no node holds now. */
  readonly unheld: readonly string[];
  /** The nodes that can take them. */
  readonly takers: readonly string[];
}

/** @returns undefined when the cluster has no such node */
export function drainView({ nodes, unheld }: NodeList, name: string): DrainView | undefined {
  const node = nodes.find((one) => one.name === name);
  if (node === undefined) return undefined;
  const takers = nodes.filter((one) => one.name !== name && one.state === 'alive');
  return {
    holds: node.state === 'dead' ? [] : [...node.partitions, ...node.taking],
    unheld,
    takers: takers.map((one) => one.name),
  };
}

/**
 * What a drain still waits for, in words.
 *
 * @param before what was there when it began
 * @returns undefined: the node holds nothing, and other nodes have what it held
 */
export function drainProgress({ holds, unheld }: DrainView, before: DrainView): string | undefined {
  if (holds.length > 0) {
    return `holds ${amountText(holds.length, 'partition')}: ${holds.join(' ')}`;
  }
  const moving = unheld.filter((partition) => before.holds.includes(partition));
  return moving.length === 0 ? undefined : `another node is taking ${moving.join(' ')}`;
}
