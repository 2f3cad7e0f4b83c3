/**
 * What operators can see of the session layer. Pages are computed in turns of the event loop.
 *
 * @module
 */
import type {
  BrokerAnswerOf,
  BrokerQuery,
  MessageAnswer,
} from '../../core/protocol/broker-query.ts';
import type { Identity } from './identity.ts';

/** A session that the policy can decide about: its identity has connected since the start of the broker. */
export interface AuthorizedSession {
  readonly clientId: string;
  readonly identity: Identity;
  readonly filters: Iterable<{ readonly filter: string; readonly qos: 0 | 1 | 2 }>;
}

/** Which messages an operator looks at. */
export type TailScope = 'own' | 'all';

export interface SessionInspection {
  connections(
    query: Extract<BrokerQuery, { kind: 'connections' }>,
  ): Promise<BrokerAnswerOf<'connections'>>;
  sessions(query: Extract<BrokerQuery, { kind: 'sessions' }>): Promise<BrokerAnswerOf<'sessions'>>;
  /** Undefined when there is no such session. */
  session(clientId: string): BrokerAnswerOf<'session'> | undefined;
  /** The sessions whose identity is known, with their subscriptions. */
  authorized(): Iterable<AuthorizedSession>;
  /** The retained messages that an identity may receive, in the order of their topics. */
  retained(
    identity: Identity,
    query: { readonly prefix: string; readonly limit: number; readonly after?: string | undefined },
  ): Promise<BrokerAnswerOf<'retained'>>;
  /**
   * Calls for each message that matches a filter and that an identity may receive, until the returned
   * function is called. `offer` must not throw; it makes the message visible only when it wants it.
   *
   * @param scope `all`: whoever published it; `own`: what is published here, so that the brokers of a cluster together
   *   show each message once
   */
  tail(
    identity: Identity,
    filter: string,
    scope: TailScope,
    offer: (make: () => MessageAnswer) => void,
  ): () => void;
}
