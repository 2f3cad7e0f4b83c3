/**
 * Decides which partitions a node takes, and whether it gives one. Every node decides for itself, from what it sees in
 * the database. Nodes that see the same make the same plan, so they do not try to take the same partition; if they do,
 * the lock of the partition decides.
 *
 * @module
 */

export interface AssignmentView {
  /** The name of the node that decides. */
  readonly own: string;
  /** All nodes that may take partitions. */
  readonly takers: readonly TakerView[];
  /** All partitions, by their index. */
  readonly partitions: readonly PartitionView[];
}

export interface TakerView {
  readonly node: string;
  /** Whether partitions are moved to it: it has been there for some time, and could take what it has tried to take. */
  readonly isSettled: boolean;
  /** Whether it could not take a partition that another node can serve. */
  readonly isFailing: boolean;
}

export interface PartitionView {
  /** The node that holds it, or is taking it. Undefined: nobody, or it is not known. */
  readonly node: string | undefined;
  /** Whether no partition is given meanwhile: it is free or being taken. */
  readonly isMoving: boolean;
  /**
   * `planned`: the node that the plan selects takes it. `anyone`: it has been free for longer, so any node takes it.
   * Undefined: it is not free.
   */
  readonly free: 'planned' | 'anyone' | undefined;
  /** Whether this node has tried to take it, or has given it, a short time ago. */
  readonly isDeferred: boolean;
}

export interface AssignmentDecision {
  readonly take: readonly number[];
  readonly give: number | undefined;
}

/** All partitions end up at a node, and the numbers of partitions of the nodes then differ by at most one. */
export function decideAssignment({ own, takers, partitions }: AssignmentView): AssignmentDecision {
  const loads = new Map(takers.map(({ node }) => [node, 0]));
  for (const { node } of partitions) {
    const load = node === undefined ? undefined : loads.get(node);
    if (node !== undefined && load !== undefined) loads.set(node, load + 1);
  }
  if (!loads.has(own)) {
    const isHopeless = takers.every(({ isFailing }) => isFailing);
    return { take: [], give: isHopeless ? undefined : lastOf(own, partitions) };
  }
  const give = partitionToGive({ own, takers, partitions }, loads);
  const take = partitions.flatMap(({ free, isDeferred }, index) => {
    if (free === undefined) return [];
    const chosen = leastLoaded(loads);
    loads.set(chosen, (loads.get(chosen) ?? 0) + 1);
    return (chosen === own || free === 'anyone') && !isDeferred ? [index] : [];
  });
  return { take, give };
}

/** The names decide between equals. */
function leastLoaded(loads: ReadonlyMap<string, number>): string {
  const [[first] = ['']] = [...loads].sort(
    ([one, load], [other, otherLoad]) => load - otherLoad || (one < other ? -1 : 1),
  );
  return first;
}

/** A node that should hold nothing gives one partition after the other. */
function lastOf(own: string, partitions: readonly PartitionView[]): number | undefined {
  if (partitions.some(({ isMoving }) => isMoving)) return undefined;
  const last = partitions.findLastIndex(({ node }) => node === own);
  return last === -1 ? undefined : last;
}

/**
 * A node gives a partition when it has the most, and another one at least two fewer. One move ends before the next one
 * begins, because a partition that is free or being taken prevents it.
 */
function partitionToGive(
  { own, takers, partitions }: AssignmentView,
  loads: ReadonlyMap<string, number>,
): number | undefined {
  const load = loads.get(own) ?? 0;
  const hasMost = [...loads].every(
    ([node, other]) => other < load || (other === load && node >= own),
  );
  const isNeeded = takers.some(
    ({ node, isSettled }) => isSettled && (loads.get(node) ?? 0) <= load - 2,
  );
  return hasMost && isNeeded ? lastOf(own, partitions) : undefined;
}
