/**
 * The contract for the right to a client id. CONNECT claims the client id before it opens the session; the
 * claim is released when the connection closes.
 *
 * A broker that works alone decides at once (`session/state/local-claims.ts`). Brokers that share their
 * sessions decide together, which takes time: then the answer is a promise, and CONNECT waits for it.
 *
 * @module
 */
import type { ErrorCode } from '../../core/errors/catalogue.ts';
import type { Standing } from '../../core/policy/standing.ts';
import type { Identity } from './identity.ts';

/** A connection that claims a client id. */
export interface Claimant {
  readonly identity: Identity;
  /** Undefined until CONNECT is accepted. */
  readonly clientId: string | undefined;
  readonly protocolVersion: number | undefined;
}

/** What a CONNECT claims. */
export interface ClaimRequest {
  readonly connection: Claimant;
  readonly clientId: string;
  /** Clean Start (5.0) or Clean Session (3.1.1): an existing session is not needed. */
  readonly clean: boolean;
  /** Whether the broker assigned the client id: then it is refused if a session uses it already. */
  readonly isAssigned: boolean;
  /** How many connections the identity may have with all of its client ids. */
  readonly connectionsMax: number;
}

/** A granted claim. It replaces every earlier claim of the same client id. */
export interface SessionClaim {
  /** Whether it takes the session over from a live connection, at this broker or at another one. */
  readonly takesOver: boolean;
  /**
   * The connection that the identity opened before this one, if that was at another broker. Undefined if it
   * was at this broker, or is not known.
   */
  readonly previousElsewhere: PreviousConnection | undefined;
  /** See {@link PresenceFacts.version}. */
  readonly version: number | undefined;
}

/** What is known about an earlier connection of an identity. */
export interface PreviousConnection {
  readonly address: string;
  /** The serial number of its certificate. */
  readonly serial: string;
}

export interface ClaimRefusal {
  /**
   * For example `client-id-not-allowed` (another identity uses it), `client-id-missing` (an assigned client id
   * is in use), `device-connections-too-many`, or `session-unavailable`.
   */
  readonly refused: ErrorCode;
}

export type ClaimAnswer = SessionClaim | ClaimRefusal;

/** One open connection of an identity, at any broker. */
export interface OpenConnection {
  /** The name of its broker; undefined: this broker. */
  readonly broker: string | undefined;
  readonly clientId: string;
  readonly protocolVersion: number | undefined;
  readonly address: string;
  readonly tlsVersion: string;
  readonly serial: string;
  readonly notAfterMs: number;
  readonly standing: Standing;
}

/** What is known about an identity when a claim of it has ended. */
export interface PresenceFacts {
  /** Another open connection of the identity; undefined if there is none. */
  readonly other: OpenConnection | undefined;
  /**
   * The order of this event among all claims and releases of the identity at all brokers: at least the time in
   * ms times 1000. Undefined: only this broker has such events, in the order of its calls.
   */
  readonly version: number | undefined;
}

/** The end of a claim. */
export interface ReleasedClaim {
  readonly claim: SessionClaim;
  /** The connection that has, or would have, used it. */
  readonly connection: Claimant;
  readonly clientId: string;
  /** Whether this broker keeps the session. */
  readonly sessionStays: boolean;
}

export interface SessionClaims {
  /**
   * Whether other brokers have the same sessions and retained messages. If not, everything in the store is the
   * work of this broker.
   */
  readonly isShared: boolean;
  /**
   * What this broker knows against a claim without asking anyone. It is called before a plug-in is asked and
   * again in the turn of {@link SessionClaims.claim}, directly before it.
   *
   * @returns undefined if nothing is known
   */
  refusalOf(request: ClaimRequest): ErrorCode | undefined;
  /**
   * Claims a client id. A promise must settle within the time limit of the implementation, because an
   * unanswered claim counts against `claimsWaitingMax` even when its connection does not wait any more. A
   * claim that is granted too late is released.
   */
  claim(request: ClaimRequest): ClaimAnswer | Promise<ClaimAnswer>;
  /**
   * The connection of a claim is closed, or a granted claim is not used. Called once for each granted claim,
   * also if a newer claim has replaced it, which must then stay as it is. A promise must settle, late rather
   * than with wrong facts: the presence of the identity is published afterwards.
   */
  release(released: ReleasedClaim): PresenceFacts | Promise<PresenceFacts>;
}
