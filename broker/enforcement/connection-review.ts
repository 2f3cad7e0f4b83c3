/**
 * Puts a change of the directory or of the policy in force on connections that live: those that lost
 * their right are closed, the others are authorised again.
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';
import { review } from '../admission/admission.ts';
import type { DirectoryView } from '../feed/broker-directory.ts';
import type { Connection, SessionLayer } from '../contracts/session-layer.ts';
import type { ConnectionExpiry } from './connection-expiry.ts';
import type { IncidentHolds } from '../admission/incident-holds.ts';

export interface ConnectionReviewDeps {
  readonly clock: Clock;
  readonly directory: DirectoryView;
  readonly layer: SessionLayer;
  readonly expiry: ConnectionExpiry;
  readonly restraint: IncidentHolds;
}

export class ConnectionReview {
  readonly #deps: ConnectionReviewDeps;

  constructor(deps: ConnectionReviewDeps) {
    this.#deps = deps;
  }

  /**
   * Looks again at the connections of some identities, or of all.
   *
   * @returns how many were closed
   */
  identities(ids: readonly string[] | 'all'): number {
    const { layer } = this.#deps;
    const connections =
      ids === 'all' ? [...layer.connections()] : ids.flatMap((id) => layer.connectionsOf(id));
    let closed = 0;
    for (const connection of connections) if (this.#review(connection)) closed++;
    return closed;
  }

  /** The policy changed: everybody is authorised again. */
  policy(): void {
    for (const connection of [...this.#deps.layer.connections()]) connection.reauthorize();
  }

  #review(connection: Connection): boolean {
    const { clock, directory, expiry, restraint } = this.#deps;
    const { identity } = connection;
    const verdict = restraint.apply(identity.id, review(identity, directory, clock.now()));
    if ('code' in verdict) {
      connection.close(verdict.code);
      return true;
    }
    const entry = directory.get(identity.id);
    if (entry === undefined) return false;
    const same = sameEntry(identity.entry, entry) && identity.standing === verdict.standing;
    identity.entry = entry;
    if (same) return false;
    identity.standing = verdict.standing;
    expiry.watch(connection);
    connection.reauthorize();
    return false;
  }
}

/** Whether the policy would see the same: a snapshot brings equal entries as new objects. */
function sameEntry(
  one: { role: string; group: string | null; attributes: Readonly<Record<string, string>> },
  two: { role: string; group: string | null; attributes: Readonly<Record<string, string>> },
): boolean {
  if (one.role !== two.role || one.group !== two.group) return false;
  const names = Object.keys(one.attributes);
  return (
    names.length === Object.keys(two.attributes).length &&
    names.every((name) => one.attributes[name] === two.attributes[name])
  );
}
