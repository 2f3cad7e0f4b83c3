/**
 * The claims of the connections: a CONNECT that waits for the answer to its claim, and the release of a claim when its
 * connection is closed.
 *
 * A client id has at most one waiting CONNECT. A newer one for the same client id ends it, and so does a time limit.
 * Whatever is granted after that is released again.
 *
 * @module
 */
import type { ErrorCode } from '../../../core/errors/catalogue.ts';
import type {
  Claimant,
  ClaimAnswer,
  ClaimRequest,
  PresenceFacts,
  SessionClaim,
  SessionClaims,
} from '../../contracts/session-claims.ts';
import type { SessionContext } from '../state/context.ts';
import { openConnectionOf } from '../state/open-connection.ts';
import type { SessionRegistry } from '../state/session-registry.ts';
import { pauseReasons, type ConnectionReader } from './connection-reader.ts';

/** How long CONNECT waits for the answer to its claim, in ms. */
export const claimTimeoutMs = 10_000;
/** How many claims may be without an answer, including those that no connection waits for any more. */
export const claimsWaitingMax = 10_000;

/** A connection whose CONNECT waits. */
export interface ClaimWaiter {
  readonly closed: boolean;
  readonly reader: Pick<ConnectionReader, 'pause' | 'resumeWith'>;
}

/** The connection whose claim ends. */
export interface ClaimHolder extends Claimant {
  readonly claim: SessionClaim | undefined;
}

export interface ConnectionClaimsDeps {
  readonly context: Pick<SessionContext, 'clock' | 'events'>;
  readonly sessions: Pick<SessionRegistry, 'get'>;
  readonly claims: SessionClaims;
  /** The open connections of an identity at this broker. */
  connectionsOf(id: string): readonly Claimant[];
}

interface WaitingClaim {
  readonly request: ClaimRequest;
  readonly waiter: ClaimWaiter;
  readonly answered: (answer: ClaimAnswer) => void;
  /** When it gives up, in monotonic ms. */
  untilMs: number;
}

export class ConnectionClaims {
  readonly #deps: ConnectionClaimsDeps;
  /** The one that waits longest first. */
  readonly #waiting = new Map<string, WaitingClaim>();
  #unanswered = 0;
  #releasing = 0;

  constructor(deps: ConnectionClaimsDeps) {
    this.#deps = deps;
  }

  /** Why no claim may be made now: too many wait, or another identity waits for this client id. */
  refusalOf({ clientId, connection }: ClaimRequest): ErrorCode | undefined {
    if (this.#unanswered >= claimsWaitingMax) return 'claims-too-many';
    const earlier = this.#waiting.get(clientId);
    if (earlier === undefined || earlier.waiter.closed) return undefined;
    const isForeign = earlier.request.connection.identity.id !== connection.identity.id;
    return isForeign ? 'client-id-not-allowed' : undefined;
  }

  /** How many releases have no answer. There are never more than granted claims. */
  get releasing(): number {
    return this.#releasing;
  }

  /**
   * Waits for the answer to the claim of a CONNECT. Its connection is not read meanwhile.
   *
   * @param answered called once, unless the connection closes before: with the answer, with
   *   `session-taken-over` if a newer CONNECT has the same client id, or with `session-unavailable` after
   *   {@link claimTimeoutMs}
   */
  wait(
    request: ClaimRequest,
    waiter: ClaimWaiter,
    answer: Promise<ClaimAnswer>,
    answered: (answer: ClaimAnswer) => void,
  ): void {
    const { clientId } = request;
    const { clock, events } = this.#deps.context;
    this.#end(this.#waiting.get(clientId), { refused: 'session-taken-over' });
    const untilMs = clock.monotonicMs() + claimTimeoutMs;
    const waiting = { request, waiter, answered, untilMs };
    this.#waiting.set(clientId, waiting);
    this.#unanswered++;
    waiter.reader.pause(pauseReasons.claim);
    void answer
      .catch((error: unknown): ClaimAnswer => {
        const cause = { device: request.connection.identity.id };
        events.failed?.(cause, error, 'could not claim a session');
        return { refused: 'session-unavailable' };
      })
      .then((outcome) => {
        this.#unanswered--;
        if (this.#waiting.get(clientId) === waiting && !waiter.closed) this.#end(waiting, outcome);
        else this.#discard(waiting, outcome);
      });
  }

  /** Releases the claim of a closed connection, and reports what that means for its identity. */
  release(holder: ClaimHolder, clientId: string, code: ErrorCode | undefined): void {
    const { claim } = holder;
    const { events } = this.#deps.context;
    if (claim === undefined) return;
    this.#release(holder, clientId, claim, (facts) => events.released?.(holder, code, facts));
  }

  /** A granted claim is not used: its CONNECT was rejected, or does not wait any more. */
  releaseUnused({ connection, clientId }: ClaimRequest, claim: SessionClaim): void {
    const { context, sessions } = this.#deps;
    // The claim has replaced that of this connection.
    sessions.get(clientId)?.owner?.close('session-taken-over');
    this.#release(connection, clientId, claim, (facts) => {
      // The connection that it took the session from did not report that its identity is offline.
      if (claim.takesOver) context.events.released?.(connection, 'connection-lost', facts);
    });
  }

  /** Ends the waits that have reached the time limit. */
  sweep(nowMs: number): void {
    for (const waiting of this.#waiting.values()) {
      if (waiting.untilMs > nowMs) return;
      this.#end(waiting, { refused: 'session-unavailable' });
    }
  }

  /** The process did not run for a while, and could not read answers. */
  onProcessPaused(ms: number): void {
    for (const waiting of this.#waiting.values()) waiting.untilMs += ms;
  }

  #end(waiting: WaitingClaim | undefined, answer: ClaimAnswer): void {
    if (waiting === undefined) return;
    this.#waiting.delete(waiting.request.clientId);
    waiting.waiter.reader.resumeWith(pauseReasons.claim, () => waiting.answered(answer));
  }

  /** An answer came that nobody waits for. */
  #discard(waiting: WaitingClaim, answer: ClaimAnswer): void {
    const { request } = waiting;
    if (this.#waiting.get(request.clientId) === waiting) this.#waiting.delete(request.clientId);
    if (!('refused' in answer)) this.releaseUnused(request, answer);
  }

  #release(
    connection: Claimant,
    clientId: string,
    claim: SessionClaim,
    report: (facts: PresenceFacts) => void,
  ): void {
    const { claims, context, sessions } = this.#deps;
    const sessionStays = sessions.get(clientId) !== undefined;
    const facts = claims.release({ claim, connection, clientId, sessionStays });
    if (!(facts instanceof Promise)) {
      report(facts);
      return;
    }
    const { id } = connection.identity;
    this.#releasing++;
    void facts
      .then(
        (late) => report(this.#withOwn(id, late)),
        (error: unknown) => {
          context.events.failed?.({ device: id }, error, 'could not release a session');
        },
      )
      .finally(() => this.#releasing--);
  }

  /** Facts that arrive later may be older than a connection that has been accepted here meanwhile. */
  #withOwn(id: string, facts: PresenceFacts): PresenceFacts {
    if (facts.other !== undefined) return facts;
    const own = this.#deps.connectionsOf(id).find(({ clientId }) => clientId !== undefined);
    return own === undefined ? facts : { ...facts, other: openConnectionOf(own) };
  }
}
