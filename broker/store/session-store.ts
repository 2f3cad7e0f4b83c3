/**
 * The contract of a session store: the state that must survive the end of the process. Two
 * implementations pass the same test suite (test/contract): `memory-store.ts` and `durable-store.ts`
 * (node:sqlite).
 *
 * **Responsibilities.** The session layer owns the live state: connections, routes, receive windows,
 * deliveries in progress. The store records every change of a session that outlives its connection, and
 * contains the queues of disconnected clients (the durable store keeps them on the disk, with only an
 * index in memory). A session that ends with its connection is never stored, except for its will. QoS 0
 * messages are never stored, except for retained ones.
 *
 * **Mutations** are synchronous, return at once, and never throw because of the disk: they are added to
 * the open batch. There is no promise, callback or closure per message. All mutations of one turn of the
 * event loop are one batch. The store seals it at the end of the turn (`setImmediate`) or at
 * {@link SessionStore.afterCommit}, whichever comes first, and writes it outside of the event loop as one
 * transaction (several batches in one when the disk is slow). Batches become durable completely and in
 * order: after a crash, the store contains a prefix of the mutations that ends between two batches. A
 * mutation that is undone in its own batch (a message queued and acknowledged) never reaches the disk.
 *
 * **Waiting for commits.** With these rules, a `kill -9` at any time loses no acknowledged message and
 * delivers no QoS 2 message twice:
 *
 * | packet | is sent when |
 * |---|---|
 * | PUBACK, PUBREC to the publisher | all enqueues, the retained message and `putIncoming` are committed |
 * | PUBCOMP to the publisher | `deleteIncoming` is committed: otherwise a reused packet id would look like a duplicate, and its message would be lost |
 * | SUBACK, UNSUBACK | the subscription is committed |
 * | CONNACK | `putSession` and `putWill` are committed; with Clean Start also `deleteSession` |
 * | PUBLISH QoS 0 | at once |
 * | PUBLISH QoS 1 | at once: a crash can cause a duplicate, which QoS 1 allows |
 * | PUBLISH QoS 2 | its `enqueue` and `markSent` are committed: otherwise it is sent again with another packet id |
 * | PUBREL to the receiver | `markReleased` is committed: otherwise PUBLISH is sent again after the receiver discarded its packet id |
 * | none | `dequeue` (PUBACK or PUBCOMP was received): after a crash PUBLISH or PUBREL is sent again, and the receiver can respond to it |
 *
 * Acknowledgements of one connection stay in order [MQTT-4.6.0-2]: one that has nothing to wait for is
 * sent after those before it. PUBACK and PUBREC wait also for confirmations of other partitions.
 *
 * **After a start** {@link SessionStore.load} returns all sessions and wills. For a session that was
 * connected, `disconnectedAtMs` is undefined, and so is `dueAtMs` of its will: for both, the time starts
 * with the broker. Entries in flight have a packet id and a state. They are sent again first, in the order
 * of their sequence [MQTT-4.4.0-1].
 *
 * **Limits.** The store counts messages and bytes per session and in total, and refuses what would exceed
 * {@link StoreLimits}. The limit of a session, and which message is dropped, is decided by the session
 * layer: {@link SessionStore.queueOf} returns the size, {@link SessionStore.dropOldest} makes room.
 *
 * **Unknown arguments** (a client id that was never put, a sequence that was removed): the mutation does
 * nothing.
 *
 * **Errors.** Opening and loading throw `store-newer`, `store-damaged`, `store-in-use` or
 * `store-open-failed`, and do not change the file in that case. When the disk is full,
 * the store keeps what is not committed and tries again: {@link SessionStore.stalled}. After any other error it
 * stops permanently: all callbacks of {@link SessionStore.afterCommit}, including later ones, get
 * `store-write-failed`, nothing may be acknowledged any more, and the broker stops.
 *
 * **Concurrency.** One thread uses one store. A second process that opens the same file gets
 * `store-in-use`.
 *
 * @module
 */
import type { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { OwnerShare } from './shared-room.ts';

export type Qos = 0 | 1 | 2;

/**
 * One published message. It is never changed after it was passed to the store. `payload` and
 * `properties` may be slices of a received chunk: the store copies those that would keep much more memory
 * alive than they use.
 */
export interface StoredMessage {
  readonly topic: string;
  readonly payload: Buffer;
  /** As published. */
  readonly qos: Qos;
  /** The RETAIN flag as published. */
  readonly retain: boolean;
  /**
   * MQTT 5.0 properties that are forwarded unchanged, encoded as in a packet without their length. They
   * never include topic alias, subscription identifiers or message expiry. Opaque to the store.
   */
  readonly properties: Buffer | undefined;
  /** Wall-clock time; undefined when it never expires. */
  readonly expiresAtMs: number | undefined;
  readonly createdAtMs: number;
  /** Client id of the publisher; undefined for messages of the broker. */
  readonly publisher: string | undefined;
}

export interface SessionRecord {
  readonly clientId: string;
  /** The identity (device id) that owns the session. */
  readonly identityId: string;
  /**
   * When that identity was created, in ms since 1970: the name of a deleted one can be used again. Undefined:
   * not known.
   */
  readonly identityCreatedAtMs: number | undefined;
  readonly protocolVersion: 3 | 4 | 5;
  /** 4,294,967,295 (0xFFFFFFFF): the session never expires. */
  readonly expirySeconds: number;
  /** Wall-clock time; undefined while connected. */
  readonly disconnectedAtMs: number | undefined;
}

/** One subscription as granted. */
export interface SubscriptionRecord {
  /** As sent by the client, including `$share/{group}/`. */
  readonly filter: string;
  readonly qos: Qos;
  readonly noLocal: boolean;
  readonly retainAsPublished: boolean;
  readonly retainHandling: 0 | 1 | 2;
  /** Subscription Identifier. */
  readonly identifier: number | undefined;
}

/** A message to queue for one receiver. */
export interface Delivery {
  readonly message: StoredMessage;
  /** The QoS of this delivery: the lower one of the published and the granted QoS. */
  readonly qos: 1 | 2;
  /** The RETAIN flag of this delivery. */
  readonly retain: boolean;
  /** Subscription Identifiers of all matching subscriptions (MQTT 5.0). */
  readonly identifiers: readonly number[];
}

/**
 * `queued`: not sent yet. `sent`: PUBLISH was sent with `packetId`. `released`: PUBREC was received, and
 * PUBREL must be sent; payload and properties are deleted (the payload is an empty buffer).
 */
export type DeliveryState = 'queued' | 'sent' | 'released';

/** One entry of an outgoing queue. */
export interface QueuedMessage extends Delivery {
  /** Increases with every enqueue of the store, also across restarts. Gives the order of the queue. */
  readonly sequence: number;
  /** 1 to 65,535 in states `sent` and `released`. */
  readonly packetId: number | undefined;
  readonly state: DeliveryState;
}

/** A will message. */
export interface WillRecord {
  readonly clientId: string;
  readonly identityId: string;
  /** As that of a session. */
  readonly identityCreatedAtMs: number | undefined;
  /** The certificate of the connection that set it; undefined: not known. */
  readonly fingerprint: string | undefined;
  readonly message: StoredMessage;
  readonly delaySeconds: number;
  /** Wall-clock time, set when the delay starts; undefined while the client is connected. */
  readonly dueAtMs: number | undefined;
}

/** The size of a queue. */
export interface QueueSize {
  readonly messages: number;
  /** By {@link messageBytes}. */
  readonly bytes: number;
}

/** One session, as it was stored. */
export interface RecoveredSession extends SessionRecord {
  readonly subscriptions: readonly SubscriptionRecord[];
  /** Packet ids of received QoS 2 messages whose PUBREL was not received. */
  readonly incoming: readonly number[];
  readonly queue: QueueSize;
}

export interface Recovered {
  readonly sessions: readonly RecoveredSession[];
  readonly wills: readonly WillRecord[];
}

/** Why a message was not retained: the room of all is full, or the share of its identity is. */
export type RetainRefusal = 'retained-full' | 'retained-share-full';

/** Limits of the whole store. */
export interface StoreLimits {
  readonly queuedMaxMessages: number;
  readonly queuedMaxBytes: number;
  /** The share of one identity, in all of its sessions. */
  readonly queuedPerOwnerMaxMessages: number;
  readonly queuedPerOwnerMaxBytes: number;
  readonly retainedMax: number;
  readonly retainedMaxBytes: number;
  /** How many bytes may wait for the disk before the store is {@link SessionStore.congested}. */
  readonly pendingMaxBytes: number;
}

/** Counters for metrics. */
export interface StoreStatistics {
  readonly queuedMessages: number;
  readonly queuedBytes: number;
  readonly retainedMessages: number;
  readonly retainedBytes: number;
  /** Size of the batches that are not durable yet. */
  readonly pendingBytes: number;
  readonly transactions: number;
  /** Duration of the last transaction, including its flush to the disk. */
  readonly lastTransactionMs: number;
}

export interface SessionStore {
  /** Whether the state survives the process. */
  readonly durable: boolean;

  /**
   * Returns the stored sessions and wills. Called once, before any mutation.
   *
   * @throws FlotillaError see above
   */
  load(): Promise<Recovered>;

  // ---- commits ----

  /**
   * Calls back when all mutations before it are durable: before it returns if they already are (always,
   * in the memory store). Seals the open batch. Callbacks are called in order. Call it once per turn of
   * the event loop, not per message.
   */
  afterCommit(call: (error?: FlotillaError) => void): void;
  /** Whether a mutation is not durable yet, so that {@link afterCommit} would have to wait. */
  readonly pending: boolean;
  /**
   * Whether more than `pendingMaxBytes` wait for the disk. Then publishers of QoS 1 and 2 should be
   * paused until {@link afterCommit} calls back.
   */
  readonly congested: boolean;
  /**
   * Why nothing can be committed at the moment (disk full); undefined while the store works. Callers must
   * reject what would have to be stored. Everything that was passed to the store before is kept in memory, and
   * committed when there is space.
   */
  readonly stalled: string | undefined;

  // ---- sessions and subscriptions ----

  /** Adds a session, or replaces its record. Its subscriptions and its queue are kept. */
  putSession(record: SessionRecord): void;
  /** Deletes a session with its subscriptions, queue and packet ids. Its will is kept. */
  deleteSession(clientId: string): void;
  /** Adds a subscription, or replaces the one with the same filter. */
  putSubscription(clientId: string, record: SubscriptionRecord): void;
  deleteSubscription(clientId: string, filter: string): void;

  // ---- outgoing queues ----

  /**
   * Appends to the queue of a session. When the same message object is passed for many receivers, one
   * after the other, it is stored once.
   *
   * @returns the sequence; 0 when nothing was queued, because the store is full or the session unknown
   */
  enqueue(clientId: string, delivery: Delivery): number;
  /** A packet id was assigned, and PUBLISH is being sent. */
  markSent(clientId: string, sequence: number, packetId: number): void;
  /** PUBREC was received: payload and properties are deleted. */
  markReleased(clientId: string, sequence: number): void;
  /** Removes an entry that was acknowledged, expired or dropped. */
  dequeue(clientId: string, sequence: number): void;
  /**
   * Removes the oldest entry in state `queued`.
   *
   * @returns its sequence; 0 when there is none
   */
  dropOldest(clientId: string): number;
  /** The size of a queue, in constant time. Zero for an unknown session. */
  queueOf(clientId: string): QueueSize;
  /**
   * Reads a queue in order, starting with the first sequence greater than `afterSequence`, including
   * entries that are not committed yet. An empty result means that there are no more entries. The result
   * can contain entries that the caller removed while they were read.
   *
   * @throws FlotillaError `store-damaged`, `store-write-failed`
   */
  readQueue(
    clientId: string,
    afterSequence: number,
    limitMessages: number,
  ): Promise<readonly QueuedMessage[]>;

  // ---- inbound QoS 2 ----

  putIncoming(clientId: string, packetId: number): void;
  deleteIncoming(clientId: string, packetId: number): void;

  // ---- retained messages ----

  /**
   * Retains `message` for its topic and replaces the previous one. An empty payload deletes
   * [MQTT-3.3.1-6], [MQTT-3.3.1-7].
   *
   * @param share the identity that published it, and its share of the room; undefined: none
   * @returns why it exceeds a limit, and the previous message is kept; undefined if it is retained
   */
  putRetained(message: StoredMessage, share?: OwnerShare): RetainRefusal | undefined;
  /**
   * Why {@link putRetained} would not retain a message; undefined if it would. Never for an empty payload. Looks for
   * expired messages to make room.
   */
  retainedRefusal(message: StoredMessage, share?: OwnerShare): RetainRefusal | undefined;
  /**
   * Retains a message that another partition has accepted, within any limits. An empty payload deletes.
   *
   * @param owner the identity that published it, in whose share it counts; undefined: none
   */
  keepRetained(message: StoredMessage, owner: string | undefined): void;
  deleteRetained(topic: string): void;
  /**
   * Deletes the retained messages that an identity has published until now, in turns of the event loop. Resolves
   * when they are deleted, before the commit.
   */
  deleteRetainedOf(identityId: string): Promise<void>;
  /**
   * The retained messages that a filter (without `$share/…`) matches, without expired ones, in any
   * order. The cost depends on the number of matches. Wildcards in the first level never match `$…`
   * [MQTT-4.7.2-1]; `+` matches an empty level [MQTT-4.7.1-3]; `a/#` matches `a`. Consume the result
   * before the next mutation.
   */
  retained(filter: string): Iterable<StoredMessage>;
  /**
   * Like {@link retained}, in steps: each visits one node of the tree of topics, and yields undefined if
   * there is no matching message. The caller may stop after any step and continue in a later turn of the
   * event loop, whatever was mutated between: a message that is retained all the time is visited once.
   */
  walkRetained(filter: string): Iterator<StoredMessage | undefined, void, undefined>;
  readonly retainedCount: number;

  // ---- wills ----

  /** Adds a will, or replaces the one of the same client id. Durable also for sessions that are not. */
  putWill(record: WillRecord): void;
  deleteWill(clientId: string): void;

  // ---- statistics, close ----

  readonly statistics: StoreStatistics;
  /**
   * Copies what is committed to a new file, without delaying mutations. Missing in a store without a file.
   *
   * @throws FlotillaError `store-open-failed`, `store-write-failed`
   */
  readonly copyTo?: ((path: string) => Promise<void>) | undefined;
  /** Commits pending mutations and closes the store. May be called twice. */
  close(): Promise<void>;
}

/**
 * Size that limits count for each queued message in addition to its content (measured: 410 in memory, 200
 * for the index of the durable queue, whose content is on the disk).
 */
export const messageOverheadBytes = 384;

/** The size of a message for limits, in bytes. */
export function messageBytes(message: StoredMessage): number {
  return (
    message.payload.length +
    message.topic.length +
    (message.properties?.length ?? 0) +
    messageOverheadBytes
  );
}
