/**
 * What operators can see of the sessions, connections and messages of this broker.
 *
 * @module
 */
import type {
  BrokerAnswerOf,
  BrokerQuery,
  ConnectionAnswer,
  MessageAnswer,
  SessionAnswer,
} from '../../../core/protocol/broker-query.ts';
import { forEachInTurns } from '../../../core/work-turns.ts';
import type { Identity } from '../../contracts/identity.ts';
import type {
  AuthorizedSession,
  SessionInspection,
  TailScope,
} from '../../contracts/session-inspection.ts';
import type { StoredMessage } from '../../store/session-store.ts';
import type { ClientConnection } from '../connection/connection.ts';
import type { Message } from '../delivery/message.ts';
import { oneReady, type Receiver } from '../delivery/receiver.ts';
import type { SessionContext } from '../state/context.ts';
import type { Publisher } from '../state/publisher.ts';
import { neverExpires, type Session } from '../state/session.ts';
import type { SessionRegistry } from '../state/session-registry.ts';
import { firstInOrder, pageByKey } from './page.ts';
import { shownMessage } from './shown-message.ts';

const filtersMax = 1000;
/** How many retained messages one page looks at; about 30 ms of CPU time, in turns. */
const retainedLookedAtMax = 50_000;

export interface InspectionDeps {
  readonly context: SessionContext;
  readonly publisher: Publisher;
  readonly sessions: SessionRegistry;
  clients(): Iterable<ClientConnection>;
}

export class LayerInspection implements SessionInspection {
  readonly #deps: InspectionDeps;

  constructor(deps: InspectionDeps) {
    this.#deps = deps;
  }

  async connections(
    query: Extract<BrokerQuery, { kind: 'connections' }>,
  ): Promise<BrokerAnswerOf<'connections'>> {
    const { items, next } = await pageByKey(this.#clients(query), connectionKey, query);
    return { connections: items.map((client) => this.#connection(client)), next };
  }

  async sessions(
    query: Extract<BrokerQuery, { kind: 'sessions' }>,
  ): Promise<BrokerAnswerOf<'sessions'>> {
    const { sort, limit } = query;
    if (sort === 'queue') {
      const longest = await firstInOrder(
        this.#queues(query),
        limit,
        (one, other) => other.messages - one.messages,
        ({ messages }) => messages > 0,
      );
      return { sessions: longest.map(({ session }) => this.#session(session)), next: null };
    }
    const { items, next } = await pageByKey(
      this.#sessions(query),
      ({ clientId }) => clientId,
      query,
    );
    return { sessions: items.map((session) => this.#session(session)), next };
  }

  session(clientId: string): BrokerAnswerOf<'session'> | undefined {
    const session = this.#deps.sessions.get(clientId);
    if (session === undefined) return undefined;
    const filters = [...session.subscriptions.values()].slice(0, filtersMax);
    return {
      ...this.#session(session),
      filters: filters.map(({ filter, qos, noLocal, retainAsPublished, identifier }) => ({
        filter,
        qos,
        noLocal,
        retainAsPublished,
        identifier: identifier ?? null,
      })),
    };
  }

  *authorized(): Generator<AuthorizedSession> {
    for (const { clientId, identity, subscriptions } of this.#deps.sessions.values()) {
      if (identity !== undefined) yield { clientId, identity, filters: subscriptions.values() };
    }
  }

  async retained(
    identity: Identity,
    query: { readonly prefix: string; readonly limit: number; readonly after?: string | undefined },
  ): Promise<BrokerAnswerOf<'retained'>> {
    const { store, authorizer } = this.#deps.context;
    const { prefix } = query;
    const filter = filterOfPrefix(prefix);
    const seen = { messages: 0 };
    const walk = filter === undefined ? [] : lookedAt(store.walkRetained(filter), seen);
    const { items, next } = await pageByKey(
      visible(walk, ({ topic }) => topic.startsWith(prefix) && authorizer.receive(identity, topic)),
      ({ topic }) => topic,
      query,
    );
    const messages: MessageAnswer[] = [];
    // To find out whether a payload is text takes time for each byte.
    await forEachInTurns(items, (message) => {
      messages.push(shownMessage(message, message.createdAtMs));
    });
    return { messages, next, complete: seen.messages <= retainedLookedAtMax };
  }

  tail(
    identity: Identity,
    filter: string,
    scope: TailScope,
    offer: (make: () => MessageAnswer) => void,
  ): () => void {
    const { context, publisher } = this.#deps;
    const isLocal = scope === 'own';
    const receiver = new TailReceiver(
      isLocal,
      (message) => offer(() => shownMessage(message, context.clock.now())),
      (topic) => context.authorizer.receive(identity, topic),
    );
    const subscription = {
      ...{ subscriber: receiver, filter, group: undefined, qos: 2 as const, noLocal: false },
      ...{ retainAsPublished: true, identifier: undefined },
    };
    if (isLocal) {
      // Other partitions need not know it.
      publisher.router.add(subscription);
      return () => void publisher.router.remove(receiver, filter, undefined);
    }
    publisher.subscribe(subscription);
    return () => publisher.unsubscribe(receiver, filter, undefined);
  }

  *#clients({
    device,
    search,
  }: Extract<BrokerQuery, { kind: 'connections' }>): Generator<ClientConnection | undefined> {
    for (const client of this.#deps.clients()) {
      const { identity, clientId = '' } = client;
      const isFound =
        search === undefined ||
        clientId.includes(search) ||
        identity.id.includes(search) ||
        identity.remoteAddress.includes(search);
      const isOf = device === undefined || identity.id === device;
      yield isFound && isOf && !client.closed ? client : undefined;
    }
  }

  *#sessions({
    device,
    search,
  }: Extract<BrokerQuery, { kind: 'sessions' }>): Generator<Session | undefined> {
    for (const session of this.#deps.sessions.values()) {
      const isFound = search === undefined || session.clientId.includes(search);
      const isOf = device === undefined || session.identityId === device;
      yield isFound && isOf ? session : undefined;
    }
  }

  *#queues(
    query: Extract<BrokerQuery, { kind: 'sessions' }>,
  ): Generator<{ readonly session: Session; readonly messages: number } | undefined> {
    for (const session of this.#sessions(query)) {
      yield session && { session, messages: this.#queueOf(session).messages };
    }
  }

  #queueOf(session: Session): { messages: number; bytes: number } {
    if (!session.kept) return session.outbound.waitingInMemory;
    return this.#deps.context.store.queueOf(session.clientId);
  }

  #connection(client: ClientConnection): ConnectionAnswer {
    const { identity, session } = client;
    const queue = session === undefined ? { messages: 0, bytes: 0 } : this.#queueOf(session);
    return {
      device: identity.id,
      clientId: client.clientId ?? null,
      remoteAddress: identity.remoteAddress,
      connectedAt: iso(client.connectedAtMs),
      protocolVersion: client.protocolVersion ?? null,
      tlsVersion: identity.tlsVersion,
      tlsResumed: identity.tlsResumed,
      role: identity.entry.role,
      group: identity.entry.group,
      standing: identity.standing,
      serial: identity.serial,
      certificateNotAfter: iso(identity.notAfterMs),
      keepAliveSeconds: client.keepAliveTimeoutMs === 0 ? null : client.keepAliveTimeoutMs / 1500,
      subscriptions: session?.subscriptions.size ?? 0,
      queuedMessages: queue.messages,
      queuedBytes: queue.bytes,
      inFlight: session?.outbound.inFlightCount ?? 0,
    };
  }

  #session(session: Session): SessionAnswer {
    const queue = this.#queueOf(session);
    const { expirySeconds } = session;
    return {
      clientId: session.clientId,
      device: session.identityId,
      connected: session.owner !== undefined,
      protocolVersion: session.protocolVersion,
      expirySeconds: expirySeconds === neverExpires ? null : expirySeconds,
      subscriptions: session.subscriptions.size,
      queuedMessages: queue.messages,
      queuedBytes: queue.bytes,
      inFlight: session.outbound.inFlightCount,
      willTopic: session.will?.message.topic ?? null,
    };
  }
}

/** An operator who looks at messages: takes each one, acknowledges nothing, holds nothing up. */
class TailReceiver implements Receiver {
  readonly readiness = oneReady;
  readonly isLocalObserver: boolean;
  readonly #take: (message: Message) => void;
  readonly #mayReceive: (topic: string) => boolean;

  constructor(
    isLocalObserver: boolean,
    take: (message: Message) => void,
    mayReceive: (topic: string) => boolean,
  ) {
    this.isLocalObserver = isLocalObserver;
    this.#take = take;
    this.#mayReceive = mayReceive;
  }

  deliver(message: Message): boolean {
    this.#take(message);
    return false;
  }

  mayReceive(topic: string): boolean {
    return this.#mayReceive(topic);
  }
}

/** The steps of a walk, until enough messages were seen. */
function* lookedAt(
  walk: Iterator<StoredMessage | undefined, void, undefined>,
  seen: { messages: number },
): Generator<StoredMessage | undefined> {
  for (let step = walk.next(); step.done !== true; step = walk.next()) {
    if (step.value !== undefined && ++seen.messages > retainedLookedAtMax) return;
    yield step.value;
  }
}

/** The messages that an operator may see; undefined in place of the others. */
function* visible(
  messages: Iterable<StoredMessage | undefined>,
  isVisible: (message: StoredMessage) => boolean,
): Generator<StoredMessage | undefined> {
  for (const message of messages) {
    yield message !== undefined && isVisible(message) ? message : undefined;
  }
}

/** Connections before CONNECT have no client id: they come first, apart by device and time. */
function connectionKey({ clientId, identity, connectedAtMs }: ClientConnection): string {
  return clientId ?? `\u0000${identity.id}\u0000${connectedAtMs}`;
}

/** The narrowest filter that matches all topics with a prefix; undefined when there can be none. */
function filterOfPrefix(prefix: string): string | undefined {
  if (prefix.includes('+') || prefix.includes('#')) return undefined;
  // A wildcard in the first level does not match topics of the broker itself.
  if (prefix !== '' && ownTopics.startsWith(prefix)) return `${ownTopics}#`;
  return [...prefix.split('/').slice(0, -1), '#'].join('/');
}

const ownTopics = '$fleet/';

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
