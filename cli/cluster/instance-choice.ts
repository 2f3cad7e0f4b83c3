/**
 * Chooses the processes behind a balancer. Pure functions.
 *
 * @module
 */

/** What is known about a process. */
export interface InstanceState {
  readonly name: string;
  /** It reported its addresses, so that it is or was active. */
  readonly hasBegun: boolean;
  /** `/readyz` answers 200. */
  readonly isReady: boolean;
  /** It has not answered at all for a while. */
  readonly isSilent: boolean;
}

/**
 * Chooses one process, for a service of which one instance is active. The current one stays while it is ready, or no other
 * one is: without its database, an active instance is not ready and still does what needs none.
 */
export function chooseInstance(
  current: string | undefined,
  instances: readonly InstanceState[],
): string | undefined {
  const begun = instances.filter(({ hasBegun }) => hasBegun);
  const now = begun.find(({ name }) => name === current);
  if (now?.isReady === true) return current;
  return (begun.find(({ isReady }) => isReady) ?? now ?? begun[0])?.name;
}

/**
 * Chooses the brokers for new connections: all that are ready. While none is, as without the database, all that answer.
 */
export function chooseBrokers(instances: readonly InstanceState[]): readonly string[] {
  const begun = instances.filter(({ hasBegun, isSilent }) => hasBegun && !isSilent);
  const ready = begun.filter(({ isReady }) => isReady);
  return (ready.length > 0 ? ready : begun).map(({ name }) => name);
}

/**
 * Chooses the target of a new connection: one with the fewest connections, in turn.
 *
 * @param connections of each target
 * @param first the index of the target that is preferred among equals
 * @returns an index; undefined when there is no target
 */
export function chooseTarget(connections: readonly number[], first: number): number | undefined {
  let chosen: number | undefined;
  for (let step = 0; step < connections.length; step++) {
    const at = (first + step) % connections.length;
    if (chosen === undefined || (connections[at] ?? 0) < (connections[chosen] ?? 0)) chosen = at;
  }
  return chosen;
}
