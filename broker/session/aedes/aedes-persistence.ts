/**
 * A session store in the shape of an aedes persistence (version 11, promises): what an `Aedes`
 * instance is given as `persistence`. Every promise resolves when its effect is durable.
 *
 * Aedes hands over packets, keeps a whole QoS 2 packet until PUBREL, and names queue entries by
 * broker id and counter. Content and packet ids stand in the store; broker ids and counters, which
 * mean nothing after a start, in memory. Incoming QoS 2 packets stand in a queue of their own, under
 * a client id that no client can have ([MQTT-1.5.3-2]: no U+0000).
 *
 * @module
 */
import { Readable } from 'node:stream';
import type { FlotillaError } from '../../../core/errors/flotilla-error.ts';
import { FilterTrie } from './filter-trie.ts';
import type {
  Qos,
  QueuedMessage,
  Recovered,
  SessionStore,
  StoredMessage,
  SubscriptionRecord,
} from '../../store/session-store.ts';

/** What is read of a packet of aedes. */
export interface AedesPacket {
  readonly cmd?: string;
  readonly topic?: string;
  readonly payload?: string | Buffer;
  readonly qos?: Qos;
  readonly retain?: boolean;
  readonly dup?: boolean;
  messageId?: number | undefined;
  brokerId?: string | undefined;
  readonly brokerCounter?: number;
  clientId?: string;
}

export interface AedesSubscription {
  readonly topic: string;
  readonly qos: Qos;
  readonly rh?: 0 | 1 | 2;
  readonly rap?: boolean;
  readonly nl?: boolean;
  readonly subscriptionIdentifier?: number;
}

interface AedesClient {
  readonly id: string;
}

interface AedesBroker {
  readonly id: string;
}

/** What aedes knows of a queue entry beside its content. */
interface Tag {
  readonly sequence: number;
  readonly brokerId: string | undefined;
  readonly brokerCounter: number;
  readonly textual: boolean;
  messageId: number | undefined;
  released: boolean;
}

interface Kept {
  readonly subscriptions: Map<string, AedesSubscription>;
  /** By sequence; undefined until somebody asks and the store was read. */
  outbound: Map<number, Tag> | undefined;
  /** Sequences by message id. */
  incoming: Map<number, number>;
}

interface RetainedPacket extends StoredMessage {
  readonly packet: AedesPacket;
}

const nothingRecovered: Recovered = { sessions: [], wills: [] };
const forEverSeconds = 0xffff_ffff;
const pageMessages = 100;

export class AedesPersistence {
  readonly #store: SessionStore;
  readonly #clients = new Map<string, Kept>();
  readonly #wills = new Map<string, AedesPacket>();
  readonly #trie = new FilterTrie<AedesSubscription & { readonly clientId: string }>();
  #broker: AedesBroker | undefined;
  #destroyed = false;

  /**
   * @param recovered what {@link SessionStore.load} gave; leave it out where something else takes
   *   care of the sessions and wills of this store, and aedes only of retained messages
   */
  constructor(store: SessionStore, recovered: Recovered = nothingRecovered) {
    this.#store = store;
    for (const session of recovered.sessions) {
      if (session.clientId.startsWith(incomingPrefix)) continue;
      const kept = this.#keep(session.clientId);
      if (session.queue.messages > 0) kept.outbound = undefined;
      for (const record of session.subscriptions) {
        this.#index(session.clientId, kept, subscriptionOf(record));
      }
    }
    for (const { clientId, message } of recovered.wills) {
      // The broker that it belonged to is no more: aedes publishes it as one of a dead broker.
      this.#wills.set(clientId, { ...packetOf(message), clientId, brokerId: '' });
    }
  }

  get broker(): AedesBroker | undefined {
    return this.#broker;
  }

  // aedes insists on an AsyncFunction.
  async setup(broker: AedesBroker): Promise<void> {
    this.#broker = broker;
    await Promise.resolve();
  }

  storeRetained(packet: AedesPacket): Promise<void> {
    const kept: RetainedPacket = { ...messageOf(packet), packet: { ...packet } };
    this.#store.putRetained(kept);
    return this.#committed();
  }

  createRetainedStream(pattern: string): Readable {
    return this.createRetainedStreamCombi([pattern]);
  }

  createRetainedStreamCombi(patterns: readonly string[]): Readable {
    const packets = new Map<string, AedesPacket>();
    for (const pattern of patterns) {
      for (const message of this.#store.retained(pattern)) {
        const packet = 'packet' in message ? (message as RetainedPacket).packet : packetOf(message);
        packets.set(message.topic, packet);
      }
    }
    return Readable.from(packets.values());
  }

  addSubscriptions(
    client: AedesClient,
    subscriptions: readonly AedesSubscription[],
  ): Promise<void> {
    const kept = this.#keep(client.id);
    for (const subscription of subscriptions) {
      this.#index(client.id, kept, subscription);
      this.#store.putSubscription(client.id, recordOf(subscription));
    }
    return this.#committed();
  }

  removeSubscriptions(client: AedesClient, filters: readonly string[]): Promise<void> {
    const kept = this.#clients.get(client.id);
    for (const filter of filters) {
      if (kept?.subscriptions.delete(filter) !== true) continue;
      this.#trie.delete(filter, client.id);
      this.#store.deleteSubscription(client.id, filter);
    }
    this.#dropWhenEmpty(client.id);
    return this.#committed();
  }

  subscriptionsByClient(client: AedesClient): Promise<AedesSubscription[]> {
    return Promise.resolve([...(this.#clients.get(client.id)?.subscriptions.values() ?? [])]);
  }

  countOffline(): Promise<{ subsCount: number; clientsCount: number }> {
    let clientsCount = 0;
    for (const { subscriptions } of this.#clients.values())
      if (subscriptions.size > 0) clientsCount++;
    return Promise.resolve({ subsCount: this.#trie.count, clientsCount });
  }

  /** Those of QoS 1 and 2: what an offline message is queued for. */
  subscriptionsByTopic(topic: string): Promise<(AedesSubscription & { clientId: string })[]> {
    return Promise.resolve(this.#trie.match(topic));
  }

  cleanSubscriptions(client: AedesClient): Promise<void> {
    const kept = this.#clients.get(client.id);
    return this.removeSubscriptions(client, [...(kept?.subscriptions.keys() ?? [])]);
  }

  outgoingEnqueue(subscription: { clientId: string }, packet: AedesPacket): Promise<void> {
    return this.outgoingEnqueueCombi([subscription], packet);
  }

  async outgoingEnqueueCombi(
    subscriptions: readonly { clientId: string }[],
    packet: AedesPacket,
  ): Promise<void> {
    const message = messageOf(packet);
    for (const { clientId } of subscriptions) {
      const outbound = await this.#outgoing(clientId);
      const sequence = this.#store.enqueue(clientId, deliveryOf(message));
      if (sequence === 0) throw new Error('the store is full');
      outbound.set(sequence, {
        sequence,
        brokerId: packet.brokerId,
        brokerCounter: packet.brokerCounter ?? 0,
        textual: typeof packet.payload === 'string',
        messageId: undefined,
        released: false,
      });
    }
    await this.#committed();
  }

  /** Gives an entry its message id, or turns it into the PUBREL that is owed. */
  async outgoingUpdate(client: AedesClient, packet: AedesPacket): Promise<void> {
    const { messageId } = packet;
    for (const tag of (await this.#outgoing(client.id)).values()) {
      if (tag.brokerId === packet.brokerId && !tag.released) {
        if (tag.brokerCounter !== packet.brokerCounter) continue;
        tag.messageId = messageId;
        this.#store.markSent(client.id, tag.sequence, messageId ?? 0);
        return this.#committed();
      }
      if (tag.messageId !== messageId) continue;
      tag.released = true;
      this.#store.markReleased(client.id, tag.sequence);
      return this.#committed();
    }
    throw new Error('no such packet');
  }

  async outgoingClearMessageId(
    client: AedesClient,
    packet: AedesPacket,
  ): Promise<AedesPacket | undefined> {
    const outbound = await this.#outgoing(client.id);
    for (const tag of outbound.values()) {
      if (tag.messageId === undefined || tag.messageId !== packet.messageId) continue;
      const [entry] = await this.#store.readQueue(client.id, tag.sequence - 1, 1);
      this.#store.dequeue(client.id, tag.sequence);
      outbound.delete(tag.sequence);
      this.#dropWhenEmpty(client.id);
      await this.#committed();
      return entry === undefined ? undefined : queuedPacket(entry, tag);
    }
    return undefined;
  }

  outgoingStream(client: AedesClient): Readable {
    return Readable.from(this.#stream(client.id));
  }

  async incomingStorePacket(client: AedesClient, packet: AedesPacket): Promise<void> {
    const { incoming } = await this.#withIncoming(client.id);
    const messageId = packet.messageId ?? 0;
    const shelf = incomingPrefix + client.id;
    const before = incoming.get(messageId);
    if (before !== undefined) this.#store.dequeue(shelf, before);
    const sequence = this.#store.enqueue(shelf, deliveryOf(messageOf(packet)));
    if (sequence === 0) throw new Error('the store is full');
    this.#store.markSent(shelf, sequence, messageId);
    incoming.set(messageId, sequence);
    await this.#committed();
  }

  async incomingGetPacket(client: AedesClient, packet: AedesPacket): Promise<AedesPacket> {
    const sequence = await this.#incomingSequence(client, packet);
    const [entry] = await this.#store.readQueue(incomingPrefix + client.id, sequence - 1, 1);
    if (entry?.sequence !== sequence) throw new Error('no such packet');
    return {
      ...packetOf(entry.message),
      brokerId: undefined,
      brokerCounter: 0,
      messageId: entry.packetId,
    };
  }

  async incomingDelPacket(client: AedesClient, packet: AedesPacket): Promise<void> {
    const sequence = await this.#incomingSequence(client, packet);
    this.#store.dequeue(incomingPrefix + client.id, sequence);
    this.#clients.get(client.id)?.incoming.delete(packet.messageId ?? 0);
    this.#dropWhenEmpty(client.id);
    await this.#committed();
  }

  cleanIncoming(client: AedesClient): Promise<void> {
    this.#clients.get(client.id)?.incoming.clear();
    this.#store.deleteSession(incomingPrefix + client.id);
    this.#dropWhenEmpty(client.id);
    return this.#committed();
  }

  putWill(client: AedesClient, packet: AedesPacket): Promise<void> {
    packet.brokerId = this.#broker?.id;
    packet.clientId = client.id;
    this.#wills.set(client.id, packet);
    this.#store.putWill({
      clientId: client.id,
      identityId: client.id,
      message: messageOf(packet),
      delaySeconds: 0,
      dueAtMs: undefined,
    });
    return this.#committed();
  }

  getWill(client: AedesClient): Promise<AedesPacket | undefined> {
    return Promise.resolve(this.#wills.get(client.id));
  }

  async delWill(client: AedesClient): Promise<AedesPacket | undefined> {
    const will = this.#wills.get(client.id);
    if (will === undefined) return undefined;
    this.#wills.delete(client.id);
    this.#store.deleteWill(client.id);
    await this.#committed();
    return will;
  }

  /** @param brokers those that live, by id */
  streamWill(brokers: Readonly<Record<string, unknown>> = {}): Readable {
    const wills = [...this.#wills.values()];
    return Readable.from(wills.filter(({ brokerId }) => !Object.hasOwn(brokers, brokerId ?? '')));
  }

  getClientList(filter: string): Readable {
    const clients = [...this.#clients].filter(([, { subscriptions }]) => subscriptions.has(filter));
    return Readable.from(clients.map(([clientId]) => clientId));
  }

  /** Commits; the store itself belongs to whoever opened it. */
  async destroy(): Promise<void> {
    if (this.#destroyed) throw new Error('destroyed called twice!');
    this.#destroyed = true;
    await this.#committed();
  }

  #committed(): Promise<void> {
    if (!this.#store.pending) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#store.afterCommit((error?: FlotillaError) =>
        error === undefined ? resolve() : reject(error),
      );
    });
  }

  #keep(clientId: string): Kept {
    let kept = this.#clients.get(clientId);
    if (kept === undefined) {
      kept = { subscriptions: new Map(), outbound: new Map(), incoming: new Map() };
      this.#clients.set(clientId, kept);
      this.#store.putSession(sessionOf(clientId));
    }
    return kept;
  }

  #index(clientId: string, kept: Kept, subscription: AedesSubscription): void {
    const { topic, qos, rh = 0, rap = false, nl = false, subscriptionIdentifier } = subscription;
    const record = { topic, qos, rh, rap, nl };
    kept.subscriptions.set(
      topic,
      subscriptionIdentifier === undefined ? record : { ...record, subscriptionIdentifier },
    );
    if (qos > 0) this.#trie.set(topic, clientId, { clientId, ...record });
    else this.#trie.delete(topic, clientId);
  }

  /** A session with nothing in it goes. */
  #dropWhenEmpty(clientId: string): void {
    const kept = this.#clients.get(clientId);
    if (kept === undefined || kept.subscriptions.size > 0 || kept.incoming.size > 0) return;
    if (kept.outbound?.size !== 0) return;
    this.#clients.delete(clientId);
    this.#store.deleteSession(clientId);
    this.#store.deleteSession(incomingPrefix + clientId);
  }

  async #outgoing(clientId: string): Promise<Map<number, Tag>> {
    const kept = this.#keep(clientId);
    if (kept.outbound !== undefined) return kept.outbound;
    const outbound = new Map<number, Tag>();
    for await (const entry of pages(this.#store, clientId)) {
      outbound.set(entry.sequence, {
        sequence: entry.sequence,
        brokerId: undefined,
        brokerCounter: 0,
        textual: false,
        messageId: entry.packetId,
        released: entry.state === 'released',
      });
    }
    return (kept.outbound ??= outbound);
  }

  async *#stream(clientId: string): AsyncGenerator<AedesPacket, void, undefined> {
    // Asking must not make a session.
    if (!this.#clients.has(clientId)) return;
    const outbound = await this.#outgoing(clientId);
    for await (const entry of pages(this.#store, clientId)) {
      const tag = outbound.get(entry.sequence);
      if (tag !== undefined) yield queuedPacket(entry, tag);
    }
  }

  async #withIncoming(clientId: string): Promise<Kept> {
    const kept = this.#keep(clientId);
    const shelf = incomingPrefix + clientId;
    if (kept.incoming.size > 0) return kept;
    let found = 0;
    for await (const { packetId, sequence } of pages(this.#store, shelf)) {
      kept.incoming.set(packetId ?? 0, sequence);
      found++;
    }
    if (found === 0) this.#store.putSession(sessionOf(shelf));
    return kept;
  }

  async #incomingSequence(client: AedesClient, packet: AedesPacket): Promise<number> {
    const known = this.#clients.has(client.id);
    const { incoming } = known ? await this.#withIncoming(client.id) : { incoming: undefined };
    const sequence = incoming?.get(packet.messageId ?? 0);
    if (sequence === undefined) throw new Error('no such packet');
    return sequence;
  }
}

const incomingPrefix = '\0incoming/';

async function* pages(
  store: SessionStore,
  clientId: string,
): AsyncGenerator<QueuedMessage, void, undefined> {
  for (let after = 0; ;) {
    const page = await store.readQueue(clientId, after, pageMessages);
    const last = page.at(-1);
    if (last === undefined) return;
    yield* page;
    after = last.sequence;
  }
}

function sessionOf(clientId: string): Parameters<SessionStore['putSession']>[0] {
  return {
    clientId,
    identityId: clientId,
    protocolVersion: 4,
    expirySeconds: forEverSeconds,
    disconnectedAtMs: undefined,
  };
}

function messageOf(packet: AedesPacket): StoredMessage {
  return {
    topic: packet.topic ?? '',
    payload: Buffer.isBuffer(packet.payload) ? packet.payload : Buffer.from(packet.payload ?? ''),
    qos: packet.qos ?? 0,
    retain: packet.retain ?? false,
    properties: undefined,
    expiresAtMs: undefined,
    createdAtMs: 0,
    publisher: packet.clientId,
  };
}

function deliveryOf(message: StoredMessage): Parameters<SessionStore['enqueue']>[1] {
  return { message, qos: message.qos === 2 ? 2 : 1, retain: message.retain, identifiers: [] };
}

function packetOf(message: StoredMessage): AedesPacket {
  const { topic, payload, qos, retain } = message;
  return { cmd: 'publish', topic, payload, qos, retain, dup: false };
}

function queuedPacket(entry: QueuedMessage, tag: Tag): AedesPacket {
  const messageId = tag.messageId;
  if (tag.released) return { cmd: 'pubrel', messageId };
  const { payload } = entry.message;
  return {
    ...packetOf(entry.message),
    ...(tag.textual ? { payload: payload.toString() } : {}),
    brokerId: tag.brokerId,
    brokerCounter: tag.brokerCounter,
    messageId,
  };
}

function recordOf(subscription: AedesSubscription): SubscriptionRecord {
  return {
    filter: subscription.topic,
    qos: subscription.qos,
    noLocal: subscription.nl ?? false,
    retainAsPublished: subscription.rap ?? false,
    retainHandling: subscription.rh ?? 0,
    identifier: subscription.subscriptionIdentifier,
  };
}

function subscriptionOf(record: SubscriptionRecord): AedesSubscription {
  const { filter, qos, retainHandling, retainAsPublished, noLocal, identifier } = record;
  const base = { topic: filter, qos, rh: retainHandling, rap: retainAsPublished, nl: noLocal };
  return identifier === undefined ? base : { ...base, subscriptionIdentifier: identifier };
}
