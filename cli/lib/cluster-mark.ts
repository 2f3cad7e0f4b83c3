/**
 * Distinguishes the state folder of a cluster on one machine from that of services with files.
 *
 * @module
 */
import { access } from 'node:fs/promises';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { StateFolder } from '../../core/state-folder.ts';

/**
 * A cluster keeps its registry and sessions in its database: a start without it would not find them.
 *
 * @throws FlotillaError `cluster-state`
 */
export async function assertNoCluster(state: StateFolder): Promise<void> {
  if (await isThere(state.cluster.firstInstance)) {
    throw new FlotillaError('cluster-state', { detail: state.root });
  }
}

/**
 * The files of an existing registry are not moved into the database of a cluster.
 *
 * @throws FlotillaError `cluster-needs-folder`
 */
export async function assertClusterPossible(state: StateFolder): Promise<void> {
  if (await isThere(state.cluster.firstInstance)) return;
  for (const path of [state.enroll.registry, state.broker.store]) {
    if (await isThere(path)) throw new FlotillaError('cluster-needs-folder', { detail: path });
  }
}

function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
