/**
 * Claims of client ids at a broker that works alone. Sessions and connections of this broker are all that there are,
 * so every claim is decided at once and needs no memory of its own.
 *
 * @module
 */
import type { ErrorCode } from '../../../core/errors/catalogue.ts';
import type {
  Claimant,
  ClaimRequest,
  PresenceFacts,
  ReleasedClaim,
  SessionClaim,
  SessionClaims,
} from '../../contracts/session-claims.ts';
import { openConnectionOf } from './open-connection.ts';
import type { SessionRegistry } from './session-registry.ts';

/** The two possible answers, so that a connection needs no memory for its own. */
const claimed: SessionClaim = {
  takesOver: false,
  previousElsewhere: undefined,
  version: undefined,
};
const takenOver: SessionClaim = { ...claimed, takesOver: true };

export class LocalClaims implements SessionClaims {
  readonly isShared = false;
  readonly #sessions: Pick<SessionRegistry, 'get'>;
  readonly #connectionsOf: (id: string) => readonly Claimant[];

  /** @param connectionsOf the open connections of an identity */
  constructor(
    sessions: Pick<SessionRegistry, 'get'>,
    connectionsOf: (id: string) => readonly Claimant[],
  ) {
    this.#sessions = sessions;
    this.#connectionsOf = connectionsOf;
  }

  refusalOf(request: ClaimRequest): ErrorCode | undefined {
    const { clientId, isAssigned, connectionsMax } = request;
    const { id } = request.connection.identity;
    const session = this.#sessions.get(clientId);
    if (isAssigned && session !== undefined) return 'client-id-missing';
    // A session that another identity is using is never taken over, whatever client ids the policy allows.
    const owner = session?.owner;
    if (owner !== undefined && owner.identity.id !== id) return 'client-id-not-allowed';
    const others = this.#connectionsOf(id).filter(
      (other) => other.clientId !== undefined && other.clientId !== clientId,
    );
    return others.length >= connectionsMax ? 'device-connections-too-many' : undefined;
  }

  claim({ clientId }: ClaimRequest): SessionClaim {
    return this.#sessions.get(clientId)?.owner === undefined ? claimed : takenOver;
  }

  release({ connection }: ReleasedClaim): PresenceFacts {
    const other = this.#connectionsOf(connection.identity.id).find(
      (one) => one !== connection && one.clientId !== undefined,
    );
    return { other: other && openConnectionOf(other), version: undefined };
  }
}
