/**
 * The contract of a session store: what must not be forgotten when the process ends. Two
 * implementations pass the same suite (test/contract): `memory-store.ts` and `durable-store.ts`
 * (node:sqlite).
 *
 * **Who knows what.** The session layer holds the truth of everything that is live: connections,
 * routes, windows, what is being delivered. The store is its shadow: it takes down every change of
 * a session that outlives its connection, and holds the queues of those who are away (the durable
 * one holds them on disk: only an index is in memory). A session that ends with its connection is
 * never put here; only its will is. QoS 0 messages are never put here, but for retained ones.
 *
 * **Mutations** are synchronous, return at once, and never throw for reasons of the disk: they join
 * the open batch. No promise, callback or closure a message. All that was mutated in one turn of the
 * event loop is one batch; the store seals it at the end of the turn (`setImmediate`) or at
 * {@link SessionStore.afterCommit}, whichever comes first, and writes it beside the event loop as
 * one transaction (several batches in one when the disk is slow). Batches become durable in order
 * and whole: after a crash a prefix of the mutations is there, cut between two batches. What is
 * undone in the batch that did it (a message queued and acknowledged) never reaches the disk.
 *
 * **Who must wait for what.** With these waits a `kill -9` at any point loses no acknowledged message
 * and delivers no QoS 2 message twice:
 *
 * | packet | leaves when |
 * |---|---|
 * | PUBACK, PUBREC to the publisher | all enqueues, the retained message and `putIncoming` are committed |
 * | PUBCOMP to the publisher | `deleteIncoming` is committed: else a packet id used again would be taken for a duplicate, and its message lost |
 * | SUBACK, UNSUBACK | the subscription is committed |
 * | CONNACK | `putSession` and `putWill` are committed; with Clean Start the `deleteSession` too |
 * | PUBLISH QoS 0 | at once |
 * | PUBLISH QoS 1 | at once: a crash can make it a duplicate, which QoS 1 allows |
 * | PUBLISH QoS 2 | its `enqueue` and `markSent` are committed: else it comes again under another packet id |
 * | PUBREL to the receiver | `markReleased` is committed: else the PUBLISH comes again after the receiver forgot its packet id |
 * | nothing | `dequeue` (PUBACK, PUBCOMP came): a crash makes PUBLISH or PUBREL come again, which the receiver knows how to answer |
 *
 * Acknowledgements of one connection stay in order [MQTT-4.6.0-2]: what has nothing to wait for
 * stands behind what has.
 *
 * **After a start** {@link SessionStore.load} gives everything back. A session that was connected
 * comes with `disconnectedAtMs` undefined, and so does its will with `dueAtMs` undefined: for both the
 * time runs from the start. Entries in flight come with packet id and state, and are sent again first,
 * in the order of their sequence [MQTT-4.4.0-1].
 *
 * **Limits.** The store counts messages and bytes a session and in all, and refuses what would pass
 * {@link StoreLimits}. The limit of a session, and what gives way, is the session layer's decision:
 * {@link SessionStore.queueOf} tells the size, {@link SessionStore.dropOldest} makes room.
 *
 * **Unknown things** (a client id never put, a sequence gone) make a mutation do nothing.
 *
 * **Errors.** Opening and loading throw `store-newer`, `store-damaged`, `store-in-use`,
 * `store-open-failed`, and have then not changed the file. When a write fails (disk full) the store stops for good:
 * every callback of {@link SessionStore.afterCommit}, those to come included, gets
 * `store-write-failed`, nothing may be acknowledged any more, and the broker ends.
 *
 * **Concurrency.** One thread, one store. A second process on the same file gets `store-in-use`.
 *
 * @module
 */
import type { FlotillaError } from '../../core/errors/flotilla-error.ts';

export type Qos = 0 | 1 | 2;

/**
 * One published message; never changed once given to the store. `payload` and `properties` may be
 * slices of a read chunk: the store copies what would pin much more than it uses.
 */
export interface StoredMessage {
  readonly topic: string;
  readonly payload: Buffer;
  /** As published. */
  readonly qos: Qos;
  /** The RETAIN flag as published. */
  readonly retain: boolean;
  /**
   * MQTT 5.0 properties that travel unchanged, encoded as on the wire without the length in front;
   * never among them: topic alias, subscription identifiers, message expiry. Opaque to the store.
   */
  readonly properties: Buffer | undefined;
  /** Wall clock; undefined when it never expires. */
  readonly expiresAtMs: number | undefined;
  readonly createdAtMs: number;
  /** Client id of the publisher; undefined when the broker itself published. */
  readonly publisher: string | undefined;
}

export interface SessionRecord {
  readonly clientId: string;
  /** The identity (device id) that it belongs to. */
  readonly identityId: string;
  readonly protocolVersion: 3 | 4 | 5;
  /** 4,294,967,295 (0xFFFFFFFF): never. */
  readonly expirySeconds: number;
  /** Wall clock; undefined while connected. */
  readonly disconnectedAtMs: number | undefined;
}

/** One subscription as granted. */
export interface SubscriptionRecord {
  /** As sent, `$share/{group}/` included. */
  readonly filter: string;
  readonly qos: Qos;
  readonly noLocal: boolean;
  readonly retainAsPublished: boolean;
  readonly retainHandling: 0 | 1 | 2;
  /** Subscription Identifier. */
  readonly identifier: number | undefined;
}

/** What is queued for one receiver. */
export interface Delivery {
  readonly message: StoredMessage;
  /** The QoS of this delivery: the lower of published and granted. */
  readonly qos: 1 | 2;
  /** The RETAIN flag of this delivery. */
  readonly retain: boolean;
  /** Subscription Identifiers of all matching subscriptions (5.0). */
  readonly identifiers: readonly number[];
}

/**
 * `queued`: not sent yet. `sent`: PUBLISH left under `packetId`. `released`: PUBREC came, PUBREL is
 * owed; payload and properties are gone (an empty buffer stands there).
 */
export type DeliveryState = 'queued' | 'sent' | 'released';

/** One entry of an outgoing queue as it is read back. */
export interface QueuedMessage extends Delivery {
  /** Grows with every enqueue of the store, over restarts too: the order of the queue. */
  readonly sequence: number;
  /** 1 to 65,535 in states `sent` and `released`. */
  readonly packetId: number | undefined;
  readonly state: DeliveryState;
}

/** A will message. */
export interface WillRecord {
  readonly clientId: string;
  readonly identityId: string;
  readonly message: StoredMessage;
  readonly delaySeconds: number;
  /** Wall clock, set when the delay runs; undefined while the connection lives. */
  readonly dueAtMs: number | undefined;
}

/** The size of a queue. */
export interface QueueSize {
  readonly messages: number;
  /** By {@link messageBytes}. */
  readonly bytes: number;
}

/** One session as the store remembers it. */
export interface RecoveredSession extends SessionRecord {
  readonly subscriptions: readonly SubscriptionRecord[];
  /** Packet ids of QoS 2 publishes that came in and are not released. */
  readonly incoming: readonly number[];
  readonly queue: QueueSize;
}

export interface Recovered {
  readonly sessions: readonly RecoveredSession[];
  readonly wills: readonly WillRecord[];
}

/** Limits of a whole store. */
export interface StoreLimits {
  readonly queuedMaxMessages: number;
  readonly queuedMaxBytes: number;
  readonly retainedMax: number;
  readonly retainedMaxBytes: number;
  /** What may wait for the disk before {@link SessionStore.congested}. */
  readonly pendingMaxBytes: number;
}

/** Counters for metrics. */
export interface StoreStatistics {
  readonly queuedMessages: number;
  readonly queuedBytes: number;
  readonly retainedMessages: number;
  readonly retainedBytes: number;
  /** Sealed or open, not durable yet. */
  readonly pendingBytes: number;
  readonly transactions: number;
  /** How long the last transaction took, its flush to the disk included. */
  readonly lastTransactionMs: number;
}

export interface SessionStore {
  /** Whether it survives the process. */
  readonly durable: boolean;

  /** Gives what stands in the store. Once, before any mutation. @throws FlotillaError see above */
  load(): Promise<Recovered>;

  // ---- commits ----

  /**
   * Calls once everything mutated before is durable: before it returns when it already is (always so
   * in the memory store). Seals the open batch. Calls come in order. Meant once a turn, not a message.
   */
  afterCommit(call: (error?: FlotillaError) => void): void;
  /** Whether anything mutated is not durable yet: whether {@link afterCommit} would have to wait. */
  readonly pending: boolean;
  /**
   * True when more than `pendingMaxBytes` waits for the disk: publishers of QoS 1 and 2 should be
   * paused until an {@link afterCommit} called.
   */
  readonly congested: boolean;

  // ---- sessions and subscriptions ----

  /** Puts a session, or replaces its record; what hangs on it stays. */
  putSession(record: SessionRecord): void;
  /** With subscriptions, queue and packet ids. Its will stays. */
  deleteSession(clientId: string): void;
  /** Adds a subscription, or replaces the one with the same filter. */
  putSubscription(clientId: string, record: SubscriptionRecord): void;
  deleteSubscription(clientId: string, filter: string): void;

  // ---- outgoing queues ----

  /**
   * Appends to the queue of a session that was put. The same message object given for many receivers
   * one after the other is stored once.
   *
   * @returns the sequence; 0 when the store is full (or the session unknown): nothing was queued
   */
  enqueue(clientId: string, delivery: Delivery): number;
  /** A packet id was given and PUBLISH leaves (or left). */
  markSent(clientId: string, sequence: number, packetId: number): void;
  /** PUBREC came: payload and properties are let go. */
  markReleased(clientId: string, sequence: number): void;
  /** Removes an entry: acknowledged, expired, dropped. */
  dequeue(clientId: string, sequence: number): void;
  /**
   * Removes the oldest entry in state `queued`.
   *
   * @returns its sequence; 0 when there is none
   */
  dropOldest(clientId: string): number;
  /** Constant time. Zero for an unknown session. */
  queueOf(clientId: string): QueueSize;
  /**
   * Reads a queue in order, from the first sequence above `afterSequence`; what is queued but not
   * committed yet is included. An empty answer: there is no more. Entries that were removed while the
   * answer was on its way can be in it: the caller, who removed them, knows.
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
   * Keeps `message` for its topic in place of the one before. An empty payload deletes
   * [MQTT-3.3.1-6], [MQTT-3.3.1-7].
   *
   * @returns false when the store is full: what was kept before still is
   */
  putRetained(message: StoredMessage): boolean;
  deleteRetained(topic: string): void;
  /**
   * The retained messages that a filter (without `$share/…`) matches, expired ones left out, in no
   * promised order: the walk of a trie that costs what it finds. Wildcards in the first level never
   * match `$…` [MQTT-4.7.2-1]; `+` matches an empty level [MQTT-4.7.1-3]; `a/#` matches `a`. Use it
   * up before the next mutation.
   */
  retained(filter: string): Iterable<StoredMessage>;
  readonly retainedCount: number;

  // ---- wills ----

  /** Puts a will, or replaces the one of the same client id. Durable for ephemeral sessions too. */
  putWill(record: WillRecord): void;
  deleteWill(clientId: string): void;

  // ---- the whole ----

  readonly statistics: StoreStatistics;
  /** Commits what is pending, gives everything back. Safe to call twice; nothing works after it. */
  close(): Promise<void>;
}

/** What a queued delivery, or a retained message, counts for in limits beside its content. */
export const messageOverheadBytes = 128;

/** What a message counts for in limits, in bytes. */
export function messageBytes(message: StoredMessage): number {
  return (
    message.payload.length +
    message.topic.length +
    (message.properties?.length ?? 0) +
    messageOverheadBytes
  );
}
