/**
 * Applies changes of the directory and of the policy to the running broker.
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';
import type { Logger } from '../../core/log.ts';
import { forEachInTurns } from '../../core/work-turns.ts';
import type { IncidentHolds } from '../admission/incident-holds.ts';
import type { BrokerTlsMaterial, TlsMaterial } from '../certificates/tls-material.ts';
import type { SessionLayer } from '../contracts/session-layer.ts';
import type { DirectoryChange, DirectoryView, RemovedIdentity } from '../feed/broker-directory.ts';
import type { Policy } from '../../core/policy/policy-model.ts';
import type { ConnectionReview } from './connection-review.ts';

export interface ChangeEnforcerDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly directory: DirectoryView;
  readonly holds: IncidentHolds;
  readonly review: ConnectionReview;
  readonly layer: Pick<SessionLayer, 'forget'>;
  readonly material: BrokerTlsMaterial;
  readonly ports: { replaceMaterial(material: TlsMaterial): void };
  readonly presence: { clear(id: string): void };
  readonly authorizer: { replace(policy: Policy): void };
  /** A change took this long to apply to the live connections. */
  applied(durationMs: number): void;
}

export class ChangeEnforcer {
  readonly #deps: ChangeEnforcerDeps;

  constructor(deps: ChangeEnforcerDeps) {
    this.#deps = deps;
  }

  /**
   * Applies a change that the directory already contains: a change of one identity at once, a snapshot in
   * turns of the event loop.
   *
   * @returns how many connections were closed, when the change is in force
   */
  directoryChanged(change: DirectoryChange): number | Promise<number> {
    const { clock, directory, holds, review } = this.#deps;
    if (change.kind === 'authorities') {
      return this.authoritiesChanged(change.pem);
    }
    const { ids, removed } = change;
    const startMs = clock.monotonicMs();
    for (const id of ids === 'all' ? holds.ids : ids) holds.sync(directory.get(id), id);
    if (ids === 'all') return this.#snapshotChanged(removed, startMs);
    const closed = review.identities(ids);
    this.#deps.applied(clock.monotonicMs() - startMs);
    for (const identity of removed) this.#forget(identity);
    return closed;
  }

  async #snapshotChanged(removed: readonly RemovedIdentity[], startMs: number): Promise<number> {
    const { clock, review } = this.#deps;
    let closed = 0;
    await forEachInTurns(removed, (identity) => {
      closed += review.identities([identity.id]);
      this.#forget(identity);
    });
    closed += await review.all();
    this.#deps.applied(clock.monotonicMs() - startMs);
    return closed;
  }

  /**
   * Trusts the CA certificates that the directory contains, for new connections, and closes the connections of issuers
   * that are not among them.
   *
   * @returns how many connections were closed
   */
  authoritiesChanged(pem: readonly string[]): Promise<number> {
    const { log, material, ports, review } = this.#deps;
    try {
      material.trust(pem);
    } catch (err) {
      log.error({ err }, 'could not use the CA certificates of the feed');
    }
    ports.replaceMaterial(material.tls());
    return review.authorities();
  }

  /** Puts another policy in force, and reauthorizes the connections. */
  async policyChanged(policy: Policy): Promise<void> {
    const { clock, authorizer, review } = this.#deps;
    const startMs = clock.monotonicMs();
    authorizer.replace(policy);
    await review.policy();
    this.#deps.applied(clock.monotonicMs() - startMs);
  }

  /**
   * Removes the sessions, queues, wills and presence of a deleted identity, and the retained messages that a
   * device published. Those of a service stay, because they are for other identities. The sessions are removed at
   * once: in the next turn the name may belong to another identity, which must not find them.
   */
  #forget({ id: device, role }: RemovedIdentity): void {
    const { log, directory, presence, layer } = this.#deps;
    layer.forget(device, { withRetained: role === 'device' }).catch((err: unknown) => {
      log.error({ device, err }, 'could not delete the state of a deleted identity');
    });
    // In the next turn, when the closed connections have reported that they ended.
    setImmediate(() => {
      if (directory.get(device) === undefined) presence.clear(device);
    });
  }
}
