/**
 * Applies a change of the directory or of the policy to live connections: closes those that are no
 * longer allowed, and reauthorizes the others.
 *
 * @module
 */
import type { X509Certificate } from 'node:crypto';
import type { Clock } from '../../core/clock.ts';
import { forEachInTurns } from '../../core/work-turns.ts';
import type { DirectoryEntry } from '../../core/protocol/feed.ts';
import { review } from '../admission/admission.ts';
import type { IncidentHolds } from '../admission/incident-holds.ts';
import type { Authorizer } from '../contracts/authorizer.ts';
import type { Connection, SessionLayer } from '../contracts/session-layer.ts';
import type { DirectoryView } from '../feed/broker-directory.ts';
import type { ConnectionExpiry } from './connection-expiry.ts';

export interface ConnectionReviewDeps {
  readonly authorizer: Pick<Authorizer, 'connect'>;
  readonly clock: Clock;
  readonly directory: DirectoryView;
  readonly layer: Pick<SessionLayer, 'connections' | 'connectionsOf'>;
  readonly expiry: ConnectionExpiry;
  readonly holds: IncidentHolds;
  readonly material: { readonly authorities: readonly X509Certificate[] };
}

export class ConnectionReview {
  readonly #deps: ConnectionReviewDeps;
  /** Counts the policies: a review for an earlier one stops. */
  #policies = 0;

  constructor(deps: ConnectionReviewDeps) {
    this.#deps = deps;
  }

  /**
   * Reviews the connections of some identities.
   *
   * @returns how many connections were closed
   */
  identities(ids: readonly string[]): number {
    let closed = 0;
    for (const id of ids) {
      for (const connection of this.#deps.layer.connectionsOf(id)) {
        if (this.#review(connection)) closed++;
      }
    }
    return closed;
  }

  /**
   * Reviews all connections, in turns of the event loop. New connections are decided by the same directory.
   *
   * @returns how many connections were closed
   */
  async all(): Promise<number> {
    let closed = 0;
    await forEachInTurns(this.#deps.layer.connections(), (connection) => {
      if (this.#review(connection)) closed++;
    });
    return closed;
  }

  /**
   * Reauthorizes all connections, because the policy changed, in turns of the event loop. Meanwhile no
   * message is delivered or accepted that the new policy denies: it decides about each of them.
   */
  async policy(): Promise<void> {
    const current = ++this.#policies;
    await forEachInTurns(this.#deps.layer.connections(), (connection) => {
      this.#reauthorize(connection);
      return current === this.#policies;
    });
  }

  /**
   * Closes the connections whose certificate is of an issuer that is no longer in force, in turns of the event loop.
   *
   * @returns how many connections were closed
   */
  async authorities(): Promise<number> {
    const { layer, material } = this.#deps;
    const inForce = new Set(material.authorities.map(({ fingerprint256 }) => fingerprint256));
    let closed = 0;
    await forEachInTurns(layer.connections(), (connection) => {
      const { issuer } = connection.identity;
      if (issuer === undefined || inForce.has(issuer)) return;
      connection.close('certificate-issuer-withdrawn');
      closed++;
    });
    return closed;
  }

  /** @returns whether the connection was closed */
  #review(connection: Connection): boolean {
    const { clock, directory, expiry, holds } = this.#deps;
    const { identity } = connection;
    const judgement = holds.apply(identity.id, review(identity, directory, clock.now()));
    if ('code' in judgement) {
      connection.close(judgement.code);
      return true;
    }
    const entry = directory.get(identity.id);
    if (entry === undefined) return false;
    const unchanged =
      equalForPolicy(identity.entry, entry) && identity.standing === judgement.standing;
    identity.entry = entry;
    if (unchanged) return false;
    identity.standing = judgement.standing;
    expiry.watch(connection);
    return this.#reauthorize(connection);
  }

  /**
   * Another role may allow other client ids, and the policy may have lost the role.
   *
   * @returns whether the connection was closed
   */
  #reauthorize(connection: Connection): boolean {
    const { identity, clientId } = connection;
    const verdict =
      clientId === undefined ? undefined : this.#deps.authorizer.connect(identity, clientId);
    if (verdict?.allowed === false) {
      connection.close(verdict.code);
      return true;
    }
    connection.reauthorize();
    return false;
  }
}

type PolicyFacts = Pick<DirectoryEntry, 'role' | 'group' | 'attributes'>;

/** Whether the policy decides the same for both: a snapshot brings equal entries as new objects. */
function equalForPolicy(one: PolicyFacts, two: PolicyFacts): boolean {
  if (one.role !== two.role || one.group !== two.group) return false;
  const names = Object.keys(one.attributes);
  return (
    names.length === Object.keys(two.attributes).length &&
    names.every((name) => one.attributes[name] === two.attributes[name])
  );
}
