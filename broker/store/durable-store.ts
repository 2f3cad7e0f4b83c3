/**
 * The durable session store: `node:sqlite` on a separate thread (WAL, synchronous FULL), so that a slow
 * disk delays only operations that wait for a commit.
 *
 * In memory are an index of the queues (without messages), the retained messages, and the row numbers of the sessions. A
 * mutation is encoded into the open batch. A later one that undoes it before the batch is sealed changes it in place.
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';
import { FlotillaError, messageOf } from '../../core/errors/flotilla-error.ts';
import { WideMap } from '../../core/wide-map.ts';
import { BatchReader, enqueueOffset, operation, readMessage, stateNumber } from './batch-format.ts';
import type { DurableSession, Entry } from './durable-queue.ts';
import { MessageBodies } from './message-bodies.ts';
import { publisherIdentity } from './owned-message.ts';
import { emptyQueue, Queue, QueueTotals } from './queue-index.ts';
import { combineRows } from './queue-rows.ts';
import { recover, type RecoveredState } from './recover.ts';
import { encodeSession, encodeSubscription, encodeWill } from './record-encoding.ts';
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
import { StoreLink, type StoreThread } from './store-link.ts';
import type { QueueRow } from './store-thread.ts';

export interface DurableStoreOptions extends StoreThread {
  /** The database file. The file and its folder are created when they do not exist. */
  readonly path: string;
  readonly limits: StoreLimits;
  readonly clock: Clock;
  /** Called when the disk is full, with the reason, and with undefined when it can be written again. */
  readonly stallChanged?: ((reason: string | undefined) => void) | undefined;
}

/**
 * Opens the store. Creates it when it does not exist.
 *
 * @throws FlotillaError `store-newer`, `store-damaged`, `store-in-use`, `store-open-failed`
 */
export async function openDurableStore(options: DurableStoreOptions): Promise<SessionStore> {
  const link = new StoreLink(options.path, options);
  const contents = await link.opened();
  try {
    const store = new DurableStore(link, options);
    store.restore(recover(contents, options.path));
    await store.restoreRetained();
    return store;
  } catch (error) {
    await link.close();
    throw error;
  }
}

class DurableStore implements SessionStore {
  readonly durable = true;
  readonly #link: StoreLink;
  readonly #path: string;
  readonly #limits: StoreLimits;
  readonly #sessions = new WideMap<string, DurableSession>();
  readonly #retained: RetainedSet;
  readonly deleteRetainedOf = (id: string): Promise<void> => this.#retained.deleteOf(id);
  readonly #totals: QueueTotals;
  #recovered: Recovered | undefined;
  #lastSessionId = 0;
  #lastSequence = 0;
  readonly #bodies: MessageBodies;
  /** Undefined: the file is only an index of another writing thread. */
  readonly copyTo: SessionStore['copyTo'];

  constructor(
    link: StoreLink,
    { path, limits, clock, stallChanged, workerData }: DurableStoreOptions,
  ) {
    this.#link = link;
    if (workerData === undefined) this.copyTo = (to) => this.#link.copy(to);
    link.stallChanged = stallChanged;
    this.#path = path;
    this.#limits = limits;
    this.#retained = new RetainedSet(limits, clock, (topic) => this.#writeDeleteRetained(topic));
    this.#totals = new QueueTotals(limits);
    this.#bodies = new MessageBodies(link);
  }

  /** Loads the state that was read from the database. */
  restore(state: RecoveredState): void {
    this.#recovered = { sessions: state.sessions, wills: state.wills };
    for (const [clientId, session] of state.durableSessions) {
      this.#sessions.set(clientId, session);
      this.#totals.add(session.owner, session.queue.messages, session.queue.bytes);
    }
    this.#lastSessionId = state.lastSessionId;
    this.#lastSequence = state.lastSequence;
    this.#bodies.restore(state.lastRow);
  }

  /** Loads the retained messages, in pages, so that they are in memory once only. */
  async restoreRetained(): Promise<void> {
    for (let next = this.#link.readRetained(0); ;) {
      const page = await next;
      if (page.lastRow === 0) return;
      // The thread reads the next page while this one is decoded.
      next = this.#link.readRetained(page.lastRow);
      next.catch(() => undefined);
      const reader = new BatchReader(page.data);
      while (!reader.done) {
        const message = this.#checked(() => readMessage(reader.bytes()));
        this.#retained.restore(message, publisherIdentity(message));
      }
    }
  }

  load(): Promise<Recovered> {
    const recovered = this.#recovered ?? { sessions: [], wills: [] };
    this.#recovered = undefined;
    return Promise.resolve(recovered);
  }

  afterCommit(call: (error?: FlotillaError) => void): void {
    this.#link.afterCommit(call);
  }

  get pending(): boolean {
    return this.#link.pending || this.#link.failure !== undefined;
  }

  get congested(): boolean {
    return this.#link.pendingBytes > this.#limits.pendingMaxBytes;
  }

  get stalled(): string | undefined {
    return this.#link.stalled;
  }

  putSession(record: SessionRecord): void {
    let session = this.#sessions.get(record.clientId);
    if (session === undefined) {
      session = { id: ++this.#lastSessionId, owner: record.identityId, queue: new Queue() };
      this.#sessions.set(record.clientId, session);
    }
    encodeSession(this.#link.open, session.id, record);
  }

  deleteSession(clientId: string): void {
    const session = this.#sessions.get(clientId);
    if (session === undefined) return;
    for (const entry of session.queue.entries()) this.#deleteEntry(entry);
    this.#totals.add(session.owner, -session.queue.messages, -session.queue.bytes);
    this.#sessions.delete(clientId);
    const batch = this.#link.open;
    batch.u8(operation.deleteSession);
    batch.u32(session.id);
  }

  putSubscription(clientId: string, record: SubscriptionRecord): void {
    const session = this.#sessions.get(clientId);
    if (session !== undefined) encodeSubscription(this.#link.open, session.id, record);
  }

  deleteSubscription(clientId: string, filter: string): void {
    const session = this.#sessions.get(clientId);
    if (session === undefined) return;
    const batch = this.#link.open;
    batch.u8(operation.deleteSubscription);
    batch.u32(session.id);
    batch.text(filter);
  }

  enqueue(clientId: string, delivery: Delivery): number {
    const session = this.#sessions.get(clientId);
    if (session === undefined) return 0;
    const bytes = messageBytes(delivery.message);
    if (!this.#totals.fits(session.owner, bytes) || (this.stalled !== undefined && this.congested))
      return 0;
    const body = this.#bodies.reference(delivery.message);
    const batch = this.#link.open;
    const sequence = ++this.#lastSequence;
    const { identifiers } = delivery;
    const at = batch.length;
    batch.u8(operation.enqueue);
    batch.u8(stateNumber.queued);
    batch.u16(0);
    batch.f64(body.row);
    batch.u32(session.id);
    batch.f64(sequence);
    batch.u8(delivery.qos | (delivery.retain ? 4 : 0));
    batch.u32(bytes);
    batch.u16(identifiers.length);
    for (const identifier of identifiers) batch.u32(identifier);
    session.queue.append({
      sequence,
      bytes,
      state: 'queued',
      packetId: 0,
      body,
      batch: this.#link.batch,
      at,
    });
    this.#totals.add(session.owner, 1, bytes);
    return sequence;
  }

  markSent(clientId: string, sequence: number, packetId: number): void {
    const entry = this.#sessions.get(clientId)?.queue.get(sequence);
    if (entry === undefined) return;
    entry.state = 'sent';
    entry.packetId = packetId;
    if (entry.batch === this.#link.batch) {
      this.#link.written.patchU8(entry.at + enqueueOffset.state, stateNumber.sent);
      this.#link.written.patchU16(entry.at + enqueueOffset.packetId, packetId);
      return;
    }
    const batch = this.#link.open;
    batch.u8(operation.mark);
    batch.f64(sequence);
    batch.u16(packetId);
  }

  markReleased(clientId: string, sequence: number): void {
    const session = this.#sessions.get(clientId);
    const entry = session?.queue.get(sequence);
    if (session === undefined || entry === undefined) return;
    entry.state = 'released';
    this.#totals.add(session.owner, 0, messageOverheadBytes - entry.bytes);
    session.queue.resize(entry, messageOverheadBytes);
    const { body } = entry;
    entry.body = undefined;
    if (entry.batch === this.#link.batch) {
      this.#link.written.patchU8(entry.at + enqueueOffset.state, stateNumber.released);
      this.#link.written.patchF64(entry.at + enqueueOffset.row, 0);
      this.#link.written.patchU32(entry.at + enqueueOffset.bytes, messageOverheadBytes);
    } else {
      const batch = this.#link.open;
      batch.u8(operation.release);
      batch.f64(sequence);
      batch.u32(messageOverheadBytes);
    }
    if (body !== undefined) this.#bodies.release(body);
  }

  dequeue(clientId: string, sequence: number): void {
    const session = this.#sessions.get(clientId);
    const entry = session?.queue.remove(sequence);
    if (session === undefined || entry === undefined) return;
    this.#totals.add(session.owner, -1, -entry.bytes);
    this.#deleteEntry(entry);
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

  async readQueue(
    clientId: string,
    afterSequence: number,
    limitMessages: number,
  ): Promise<readonly QueuedMessage[]> {
    for (let after = afterSequence; ;) {
      const entries = this.#sessions.get(clientId)?.queue.after(after, limitMessages) ?? [];
      const last = entries.at(-1);
      if (last === undefined) return [];
      const rows = await this.#link.read(Float64Array.from(entries, (entry) => entry.sequence));
      // Entries that were removed in the meantime are skipped. If all were, later ones may exist.
      const found = this.#combine(clientId, entries, rows);
      if (found.length > 0) return found;
      after = last.sequence;
    }
  }

  putIncoming(clientId: string, packetId: number): void {
    this.#writeIncoming(operation.putIncoming, clientId, packetId);
  }

  deleteIncoming(clientId: string, packetId: number): void {
    this.#writeIncoming(operation.deleteIncoming, clientId, packetId);
  }

  putRetained(message: StoredMessage, share?: OwnerShare): RetainRefusal | undefined {
    if (message.payload.length === 0) {
      this.deleteRetained(message.topic);
      return undefined;
    }
    const refusal = this.retainedRefusal(message, share);
    if (refusal === undefined) this.keepRetained(message, share?.id);
    return refusal;
  }

  retainedRefusal(message: StoredMessage, share?: OwnerShare): RetainRefusal | undefined {
    if (message.payload.length === 0) return undefined;
    if (this.stalled !== undefined) return 'retained-full';
    return this.#retained.refusal(message, share);
  }

  keepRetained(message: StoredMessage, owner: string | undefined): void {
    if (message.payload.length === 0) {
      this.deleteRetained(message.topic);
      return;
    }
    this.#retained.restore(message, owner);
    const batch = this.#link.open;
    batch.u8(operation.putRetained);
    batch.text(message.topic);
    batch.message(message);
  }

  deleteRetained(topic: string): void {
    if (this.#retained.delete(topic)) this.#writeDeleteRetained(topic);
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
    encodeWill(this.#link.open, record);
  }

  deleteWill(clientId: string): void {
    const batch = this.#link.open;
    batch.u8(operation.deleteWill);
    batch.text(clientId);
  }

  get statistics(): StoreStatistics {
    return {
      queuedMessages: this.#totals.messages,
      queuedBytes: this.#totals.bytes,
      retainedMessages: this.#retained.count,
      retainedBytes: this.#retained.bytes,
      pendingBytes: this.#link.pendingBytes,
      transactions: this.#link.transactions,
      lastTransactionMs: this.#link.lastTransactionMs,
    };
  }

  close(): Promise<void> {
    this.#retained.stop();
    return this.#link.close();
  }

  /** Deletes an entry, which is already removed from its queue, from the database. */
  #deleteEntry(entry: Entry): void {
    if (entry.batch === this.#link.batch) {
      this.#link.written.patchU8(entry.at, operation.cancelledEnqueue);
    } else {
      const batch = this.#link.open;
      batch.u8(operation.dequeue);
      batch.f64(entry.sequence);
    }
    if (entry.body !== undefined) this.#bodies.release(entry.body);
  }

  #writeDeleteRetained(topic: string): void {
    const batch = this.#link.open;
    batch.u8(operation.deleteRetained);
    batch.text(topic);
  }

  #writeIncoming(code: number, clientId: string, packetId: number): void {
    const session = this.#sessions.get(clientId);
    if (session === undefined) return;
    const batch = this.#link.open;
    batch.u8(code);
    batch.u32(session.id);
    batch.u16(packetId);
  }

  #combine(
    clientId: string,
    entries: readonly Entry[],
    rows: readonly QueueRow[],
  ): QueuedMessage[] {
    return this.#checked(() => combineRows(this.#sessions.get(clientId)?.queue, entries, rows));
  }

  /** Decodes rows. @throws FlotillaError `store-damaged` */
  #checked<T>(decode: () => T): T {
    try {
      return decode();
    } catch (error) {
      const detail = `${this.#path}: ${messageOf(error)}`;
      throw new FlotillaError('store-damaged', { detail, cause: error });
    }
  }
}
