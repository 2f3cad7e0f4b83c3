/**
 * What operators can see of the partitions that this node holds, in the order and the pages of one session layer.
 *
 * @module
 */
import type {
  BrokerAnswerOf,
  BrokerQuery,
  ConnectionAnswer,
  MessageAnswer,
} from '../../core/protocol/broker-query.ts';
import type { Identity } from '../contracts/identity.ts';
import type {
  AuthorizedSession,
  SessionInspection,
  TailScope,
} from '../contracts/session-inspection.ts';

interface Inspected {
  readonly inspection: SessionInspection;
}

export class PartitionedInspection implements SessionInspection {
  readonly #layers: () => readonly Inspected[];

  constructor(layers: () => readonly Inspected[]) {
    this.#layers = layers;
  }

  async connections(
    query: Extract<BrokerQuery, { kind: 'connections' }>,
  ): Promise<BrokerAnswerOf<'connections'>> {
    const pages = await this.#ask((inspection) => inspection.connections(query));
    const all = pages.flatMap(({ connections }) => connections);
    const { items, next } = merged(all, connectionKey, query.limit, pages);
    return { connections: items, next };
  }

  async sessions(
    query: Extract<BrokerQuery, { kind: 'sessions' }>,
  ): Promise<BrokerAnswerOf<'sessions'>> {
    const pages = await this.#ask((inspection) => inspection.sessions(query));
    const all = pages.flatMap(({ sessions }) => sessions);
    if (query.sort === 'queue') {
      const longest = all.sort((one, other) => other.queuedMessages - one.queuedMessages);
      return { sessions: longest.slice(0, query.limit), next: null };
    }
    const { items, next } = merged(all, ({ clientId }) => clientId, query.limit, pages);
    return { sessions: items, next };
  }

  session(clientId: string): BrokerAnswerOf<'session'> | undefined {
    for (const { inspection } of this.#layers()) {
      const session = inspection.session(clientId);
      if (session !== undefined) return session;
    }
    return undefined;
  }

  *authorized(): Generator<AuthorizedSession> {
    for (const { inspection } of this.#layers()) yield* inspection.authorized();
  }

  /** Each partition has all retained messages. */
  async retained(
    identity: Identity,
    query: { readonly prefix: string; readonly limit: number; readonly after?: string | undefined },
  ): Promise<BrokerAnswerOf<'retained'>> {
    const [layer] = this.#layers();
    if (layer === undefined) return { messages: [], next: null, complete: true };
    return layer.inspection.retained(identity, query);
  }

  /** A partition sees what its clients publish, and, if it asks for it, what all others do. */
  tail(
    identity: Identity,
    filter: string,
    scope: TailScope,
    offer: (make: () => MessageAnswer) => void,
  ): () => void {
    const layers = this.#layers();
    const watched = scope === 'all' ? layers.slice(0, 1) : layers;
    const ends = watched.map(({ inspection }) => inspection.tail(identity, filter, scope, offer));
    return () => {
      for (const end of ends) end();
    };
  }

  #ask<Answer>(ask: (inspection: SessionInspection) => Promise<Answer>): Promise<Answer[]> {
    return Promise.all(this.#layers().map(({ inspection }) => ask(inspection)));
  }
}

/** The first items of several pages, and the cursor behind them. */
function merged<T>(
  all: T[],
  keyOf: (item: T) => string,
  limit: number,
  pages: readonly { readonly next: string | null }[],
): { items: T[]; next: string | null } {
  const items = all.sort((one, other) => (keyOf(one) < keyOf(other) ? -1 : 1)).slice(0, limit);
  const last = items.at(-1);
  const hasMore = all.length > items.length || pages.some(({ next }) => next !== null);
  return { items, next: hasMore && last !== undefined ? keyOf(last) : null };
}

/** The order of connections in a page of one layer. */
function connectionKey({ clientId, device, connectedAt }: ConnectionAnswer): string {
  return clientId ?? `\u0000${device}\u0000${Date.parse(connectedAt)}`;
}
