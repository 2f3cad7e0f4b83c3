/**
 * The session store of a broker that may lose its sessions on exit: everything is in memory, and commits
 * complete at once.
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';
import type { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { WideMap } from '../../core/wide-map.ts';
import { ownedMessage, withoutContent } from './owned-message.ts';
import { emptyQueue, Queue, QueueTotals, type IndexEntry } from './queue-index.ts';
import { RetainedSet } from './retained-set.ts';
import {
  messageBytes,
  messageOverheadBytes,
  type Delivery,
  type QueuedMessage,
  type QueueSize,
  type Recovered,
  type RetainRefusal,
  type SessionRecord,
  type SessionStore,
  type StoredMessage,
  type StoreLimits,
  type StoreStatistics,
  type SubscriptionRecord,
  type WillRecord,
} from './session-store.ts';
import type { OwnerShare } from './shared-room.ts';

interface Entry extends IndexEntry {
  message: StoredMessage;
  readonly qos: 1 | 2;
  readonly retain: boolean;
  readonly identifiers: readonly number[];
}

interface MemorySession {
  record: SessionRecord;
  /** The identity that owns it. */
  readonly owner: string;
  readonly subscriptions: Map<string, SubscriptionRecord>;
  readonly incoming: Set<number>;
  readonly queue: Queue<Entry>;
}

export interface MemoryStoreOptions {
  readonly limits: StoreLimits;
  readonly clock: Clock;
}

/** Creates an empty store. */
export function openMemoryStore(options: MemoryStoreOptions): SessionStore {
  return new MemoryStore(options);
}

class MemoryStore implements SessionStore {
  readonly durable = false;
  readonly pending = false;
  readonly congested = false;
  readonly stalled = undefined;
  readonly #sessions = new WideMap<string, MemorySession>();
  readonly #wills = new Map<string, WillRecord>();
  readonly #retained: RetainedSet;
  readonly #totals: QueueTotals;
  #sequence = 0;
  /** The message that was queued last, and its copy: the next receiver often gets the same one. */
  #lastMessage: StoredMessage | undefined;
  #lastCopy: StoredMessage | undefined;

  constructor({ limits, clock }: MemoryStoreOptions) {
    this.#retained = new RetainedSet(limits, clock, () => undefined);
    this.#totals = new QueueTotals(limits);
  }

  load(): Promise<Recovered> {
    const sessions = [...this.#sessions.values()].map((session) => ({
      ...session.record,
      subscriptions: [...session.subscriptions.values()],
      incoming: [...session.incoming],
      queue: { messages: session.queue.messages, bytes: session.queue.bytes },
    }));
    return Promise.resolve({ sessions, wills: [...this.#wills.values()] });
  }

  afterCommit(call: (error?: FlotillaError) => void): void {
    call();
  }

  putSession(record: SessionRecord): void {
    const session = this.#sessions.get(record.clientId);
    if (session !== undefined) session.record = record;
    else {
      this.#sessions.set(record.clientId, {
        record,
        owner: record.identityId,
        subscriptions: new Map(),
        incoming: new Set(),
        queue: new Queue(),
      });
    }
  }

  deleteSession(clientId: string): void {
    const session = this.#sessions.get(clientId);
    if (session === undefined) return;
    this.#totals.add(session.owner, -session.queue.messages, -session.queue.bytes);
    this.#sessions.delete(clientId);
  }

  putSubscription(clientId: string, record: SubscriptionRecord): void {
    this.#sessions.get(clientId)?.subscriptions.set(record.filter, record);
  }

  deleteSubscription(clientId: string, filter: string): void {
    this.#sessions.get(clientId)?.subscriptions.delete(filter);
  }

  enqueue(clientId: string, delivery: Delivery): number {
    const session = this.#sessions.get(clientId);
    if (session === undefined) return 0;
    const bytes = messageBytes(delivery.message);
    if (!this.#totals.fits(session.owner, bytes)) return 0;
    if (this.#lastMessage !== delivery.message || this.#lastCopy === undefined) {
      this.#lastMessage = delivery.message;
      this.#lastCopy = ownedMessage(delivery.message);
    }
    const sequence = ++this.#sequence;
    session.queue.append({
      sequence,
      bytes,
      state: 'queued',
      packetId: 0,
      message: this.#lastCopy,
      qos: delivery.qos,
      retain: delivery.retain,
      identifiers: delivery.identifiers,
    });
    this.#totals.add(session.owner, 1, bytes);
    return sequence;
  }

  markSent(clientId: string, sequence: number, packetId: number): void {
    const entry = this.#sessions.get(clientId)?.queue.get(sequence);
    if (entry === undefined) return;
    entry.state = 'sent';
    entry.packetId = packetId;
  }

  markReleased(clientId: string, sequence: number): void {
    const session = this.#sessions.get(clientId);
    const entry = session?.queue.get(sequence);
    if (session === undefined || entry === undefined) return;
    entry.state = 'released';
    entry.message = withoutContent(entry.message);
    this.#totals.add(session.owner, 0, messageOverheadBytes - entry.bytes);
    session.queue.resize(entry, messageOverheadBytes);
  }

  dequeue(clientId: string, sequence: number): void {
    const session = this.#sessions.get(clientId);
    const entry = session?.queue.remove(sequence);
    if (session === undefined || entry === undefined) return;
    this.#totals.add(session.owner, -1, -entry.bytes);
  }

  dropOldest(clientId: string): number {
    const entry = this.#sessions.get(clientId)?.queue.oldestQueued();
    if (entry === undefined) return 0;
    this.dequeue(clientId, entry.sequence);
    return entry.sequence;
  }

  queueOf(clientId: string): QueueSize {
    return this.#sessions.get(clientId)?.queue ?? emptyQueue;
  }

  readQueue(
    clientId: string,
    afterSequence: number,
    limitMessages: number,
  ): Promise<readonly QueuedMessage[]> {
    const entries = this.#sessions.get(clientId)?.queue.after(afterSequence, limitMessages) ?? [];
    return Promise.resolve(
      entries.map((entry) => ({
        sequence: entry.sequence,
        message: entry.message,
        qos: entry.qos,
        retain: entry.retain,
        identifiers: entry.identifiers,
        state: entry.state,
        packetId: entry.packetId === 0 ? undefined : entry.packetId,
      })),
    );
  }

  putIncoming(clientId: string, packetId: number): void {
    this.#sessions.get(clientId)?.incoming.add(packetId);
  }

  deleteIncoming(clientId: string, packetId: number): void {
    this.#sessions.get(clientId)?.incoming.delete(packetId);
  }

  putRetained(message: StoredMessage, share?: OwnerShare): RetainRefusal | undefined {
    if (message.payload.length === 0) {
      this.#retained.delete(message.topic);
      return undefined;
    }
    return this.#retained.set(message, share);
  }

  retainedRefusal(message: StoredMessage, share?: OwnerShare): RetainRefusal | undefined {
    return message.payload.length === 0 ? undefined : this.#retained.refusal(message, share);
  }

  keepRetained(message: StoredMessage, owner: string | undefined): void {
    if (message.payload.length === 0) this.#retained.delete(message.topic);
    else this.#retained.restore(message, owner);
  }

  deleteRetained(topic: string): void {
    this.#retained.delete(topic);
  }

  deleteRetainedOf(identityId: string): Promise<void> {
    return this.#retained.deleteOf(identityId);
  }

  retained(filter: string): Iterable<StoredMessage> {
    return this.#retained.match(filter);
  }

  walkRetained(filter: string): Iterator<StoredMessage | undefined, void, undefined> {
    return this.#retained.walk(filter);
  }

  get retainedCount(): number {
    return this.#retained.count;
  }

  putWill(record: WillRecord): void {
    this.#wills.set(record.clientId, { ...record, message: ownedMessage(record.message) });
  }

  deleteWill(clientId: string): void {
    this.#wills.delete(clientId);
  }

  get statistics(): StoreStatistics {
    return {
      queuedMessages: this.#totals.messages,
      queuedBytes: this.#totals.bytes,
      retainedMessages: this.#retained.count,
      retainedBytes: this.#retained.bytes,
      pendingBytes: 0,
      transactions: 0,
      lastTransactionMs: 0,
    };
  }

  close(): Promise<void> {
    this.#retained.stop();
    return Promise.resolve();
  }
}
