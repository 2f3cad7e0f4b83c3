/**
 * The durable session store: `node:sqlite` on a thread of its own (WAL, synchronous FULL), so that
 * the flush of a slow disk delays only those who wait for it.
 *
 * In memory are: an index of the queues (no messages), the retained messages, and nothing of
 * sessions but their numbers. A mutation is encoded into the open batch at once; what undoes one
 * that still stands there changes it in place.
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';
import { FlotillaError, messageOf } from '../../core/errors/flotilla-error.ts';
import {
  bodyMode,
  operation,
  readMessage,
  stateNumber,
  subscriptionOptions,
} from './batch-format.ts';
import { ownedMessage } from './owned-message.ts';
import type { Body, Entry, Kept } from './durable-queue.ts';
import { Queue, QueueTotals } from './queue-index.ts';
import { recover } from './recover.ts';
import { RetainedSet } from './retained-set.ts';
import {
  messageBytes,
  messageOverheadBytes,
  type Delivery,
  type QueuedMessage,
  type QueueSize,
  type Recovered,
  type SessionRecord,
  type SessionStore,
  type StoredMessage,
  type StoreLimits,
  type StoreStatistics,
  type SubscriptionRecord,
  type WillRecord,
} from './session-store.ts';
import { StoreLink } from './store-link.ts';
import type { QueueRow } from './store-thread.ts';

export interface DurableStoreOptions {
  /** The database file; made, with its folder, when it is not there. */
  readonly path: string;
  readonly limits: StoreLimits;
  readonly clock: Clock;
  /** Another thread to write with: for tests. */
  readonly worker?: URL;
}

/**
 * Opens the store, or makes it.
 *
 * @throws FlotillaError `store-newer`, `store-damaged`, `store-in-use`, `store-open-failed`
 */
export async function openDurableStore(options: DurableStoreOptions): Promise<SessionStore> {
  const link = new StoreLink(options.path, options.worker);
  const contents = await link.opened();
  try {
    const store = new DurableStore(link, options);
    store.take(recover(contents, options.path));
    return store;
  } catch (error) {
    await link.close();
    throw error;
  }
}

const emptyQueue: QueueSize = { messages: 0, bytes: 0 };

class DurableStore implements SessionStore {
  readonly durable = true;
  readonly #link: StoreLink;
  readonly #path: string;
  readonly #limits: StoreLimits;
  readonly #sessions = new Map<string, Kept>();
  readonly #retained: RetainedSet;
  readonly #totals: QueueTotals;
  #recovered: Recovered | undefined;
  #sessionId = 0;
  #sequence = 0;
  #row = 0;
  /** The message queued last and its body: the same message comes for many receivers. */
  #message: StoredMessage | undefined;
  #body: Body | undefined;

  constructor(link: StoreLink, { path, limits, clock }: DurableStoreOptions) {
    this.#link = link;
    this.#path = path;
    this.#limits = limits;
    this.#retained = new RetainedSet(limits, clock, (topic) => this.#forgetRetained(topic));
    this.#totals = new QueueTotals(limits);
  }

  /** Takes what stood in the database. */
  take(from: ReturnType<typeof recover>): void {
    this.#recovered = { sessions: from.sessions, wills: from.wills };
    for (const [clientId, kept] of from.kept) {
      this.#sessions.set(clientId, kept);
      this.#totals.messages += kept.queue.messages;
      this.#totals.bytes += kept.queue.bytes;
    }
    this.#sessionId = from.lastSessionId;
    this.#sequence = from.lastSequence;
    this.#row = from.lastRow;
    for (const message of from.retained) this.#retained.set(message);
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

  putSession(record: SessionRecord): void {
    let kept = this.#sessions.get(record.clientId);
    if (kept === undefined) {
      kept = { id: ++this.#sessionId, queue: new Queue() };
      this.#sessions.set(record.clientId, kept);
    }
    const batch = this.#link.open;
    batch.u8(operation.putSession);
    batch.u32(kept.id);
    batch.text(record.clientId);
    batch.text(record.identityId);
    batch.u8(record.protocolVersion);
    batch.u32(record.expirySeconds);
    batch.f64(timeNumber(record.disconnectedAtMs));
  }

  deleteSession(clientId: string): void {
    const kept = this.#sessions.get(clientId);
    if (kept === undefined) return;
    for (const entry of kept.queue.entries()) this.#forgetEntry(entry);
    this.#totals.messages -= kept.queue.messages;
    this.#totals.bytes -= kept.queue.bytes;
    this.#sessions.delete(clientId);
    const batch = this.#link.open;
    batch.u8(operation.deleteSession);
    batch.u32(kept.id);
  }

  putSubscription(clientId: string, record: SubscriptionRecord): void {
    const kept = this.#sessions.get(clientId);
    if (kept === undefined) return;
    const batch = this.#link.open;
    batch.u8(operation.putSubscription);
    batch.u32(kept.id);
    batch.text(record.filter);
    batch.u8(subscriptionOptions(record));
    batch.u32(record.identifier ?? 0);
  }

  deleteSubscription(clientId: string, filter: string): void {
    const kept = this.#sessions.get(clientId);
    if (kept === undefined) return;
    const batch = this.#link.open;
    batch.u8(operation.deleteSubscription);
    batch.u32(kept.id);
    batch.text(filter);
  }

  enqueue(clientId: string, delivery: Delivery): number {
    const kept = this.#sessions.get(clientId);
    if (kept === undefined) return 0;
    const bytes = messageBytes(delivery.message);
    if (!this.#totals.fits(bytes)) return 0;
    const body = this.#bodyOf(delivery.message);
    const batch = this.#link.open;
    const sequence = ++this.#sequence;
    const { identifiers } = delivery;
    const at = batch.length;
    batch.u8(operation.enqueue);
    batch.u8(stateNumber.queued);
    batch.u16(0);
    batch.f64(body.row);
    batch.u32(kept.id);
    batch.f64(sequence);
    batch.u8(delivery.qos | (delivery.retain ? 4 : 0));
    batch.u32(bytes);
    batch.u16(identifiers.length);
    for (const identifier of identifiers) batch.u32(identifier);
    kept.queue.append({
      sequence,
      bytes,
      state: 'queued',
      packetId: 0,
      body,
      batch: this.#link.batch,
      at,
    });
    this.#totals.messages++;
    this.#totals.bytes += bytes;
    return sequence;
  }

  markSent(clientId: string, sequence: number, packetId: number): void {
    const entry = this.#sessions.get(clientId)?.queue.get(sequence);
    if (entry === undefined) return;
    entry.state = 'sent';
    entry.packetId = packetId;
    if (entry.batch === this.#link.batch) {
      this.#link.written.patchU8(entry.at + enqueueState, stateNumber.sent);
      this.#link.written.patchU16(entry.at + enqueuePacketId, packetId);
      return;
    }
    const batch = this.#link.open;
    batch.u8(operation.mark);
    batch.f64(sequence);
    batch.u16(packetId);
  }

  markReleased(clientId: string, sequence: number): void {
    const queue = this.#sessions.get(clientId)?.queue;
    const entry = queue?.get(sequence);
    if (queue === undefined || entry === undefined) return;
    entry.state = 'released';
    this.#totals.bytes -= entry.bytes - messageOverheadBytes;
    queue.resize(entry, messageOverheadBytes);
    const { body } = entry;
    entry.body = undefined;
    if (entry.batch === this.#link.batch) {
      this.#link.written.patchU8(entry.at + enqueueState, stateNumber.released);
      this.#link.written.patchF64(entry.at + enqueueRow, 0);
      this.#link.written.patchU32(entry.at + enqueueBytes, messageOverheadBytes);
    } else {
      const batch = this.#link.open;
      batch.u8(operation.release);
      batch.f64(sequence);
      batch.u32(messageOverheadBytes);
    }
    if (body !== undefined) this.#unreference(body);
  }

  dequeue(clientId: string, sequence: number): void {
    const entry = this.#sessions.get(clientId)?.queue.remove(sequence);
    if (entry === undefined) return;
    this.#totals.messages--;
    this.#totals.bytes -= entry.bytes;
    this.#forgetEntry(entry);
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
      // What was removed meanwhile is left out; when that is all, there may be more behind it.
      const found = this.#merge(clientId, entries, rows);
      if (found.length > 0) return found;
      after = last.sequence;
    }
  }

  putIncoming(clientId: string, packetId: number): void {
    this.#incoming(operation.putIncoming, clientId, packetId);
  }

  deleteIncoming(clientId: string, packetId: number): void {
    this.#incoming(operation.deleteIncoming, clientId, packetId);
  }

  putRetained(message: StoredMessage): boolean {
    if (message.payload.length === 0) {
      this.deleteRetained(message.topic);
      return true;
    }
    if (!this.#retained.set(ownedMessage(message))) return false;
    const batch = this.#link.open;
    batch.u8(operation.putRetained);
    batch.text(message.topic);
    batch.message(message);
    return true;
  }

  deleteRetained(topic: string): void {
    if (this.#retained.delete(topic)) this.#forgetRetained(topic);
  }

  retained(filter: string): Iterable<StoredMessage> {
    return this.#retained.match(filter);
  }

  get retainedCount(): number {
    return this.#retained.count;
  }

  putWill(record: WillRecord): void {
    const batch = this.#link.open;
    batch.u8(operation.putWill);
    batch.text(record.clientId);
    batch.text(record.identityId);
    batch.u32(record.delaySeconds);
    batch.f64(timeNumber(record.dueAtMs));
    batch.message(record.message);
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
    return this.#link.close();
  }

  /** The body of a message in the open batch; written when it is not the one written last. */
  #bodyOf(message: StoredMessage): Body {
    const body = this.#body;
    if (
      body !== undefined &&
      this.#message === message &&
      body.batch === this.#link.batch &&
      body.references > 0
    ) {
      body.references++;
      if (!body.shared) {
        body.shared = true;
        this.#link.written.patchU8(body.at + 1, bodyMode.shared);
      }
      return body;
    }
    const batch = this.#link.open;
    const at = batch.length;
    const row = ++this.#row;
    batch.u8(operation.body);
    batch.u8(bodyMode.inline);
    batch.f64(row);
    batch.message(message);
    this.#message = message;
    this.#body = { row, references: 1, shared: false, batch: this.#link.batch, at };
    return this.#body;
  }

  /** Takes an entry, already out of its queue, out of the database. */
  #forgetEntry(entry: Entry): void {
    if (entry.batch === this.#link.batch) {
      this.#link.written.patchU8(entry.at, operation.cancelledEnqueue);
    } else {
      const batch = this.#link.open;
      batch.u8(operation.dequeue);
      batch.f64(entry.sequence);
    }
    if (entry.body !== undefined) this.#unreference(entry.body);
  }

  #unreference(body: Body): void {
    if (--body.references > 0) return;
    if (body.batch === this.#link.batch) {
      this.#link.written.patchU8(body.at + 1, bodyMode.none);
    } else if (body.shared) {
      const batch = this.#link.open;
      batch.u8(operation.deleteBody);
      batch.f64(body.row);
    }
  }

  #forgetRetained(topic: string): void {
    const batch = this.#link.open;
    batch.u8(operation.deleteRetained);
    batch.text(topic);
  }

  #incoming(code: number, clientId: string, packetId: number): void {
    const kept = this.#sessions.get(clientId);
    if (kept === undefined) return;
    const batch = this.#link.open;
    batch.u8(code);
    batch.u32(kept.id);
    batch.u16(packetId);
  }

  #merge(clientId: string, asked: readonly Entry[], rows: readonly QueueRow[]): QueuedMessage[] {
    const bySequence = new Map(rows.map((row) => [row[0], row]));
    const queue = this.#sessions.get(clientId)?.queue;
    const found: QueuedMessage[] = [];
    for (const entry of asked) {
      if (queue?.get(entry.sequence) !== entry) continue;
      const row = bySequence.get(entry.sequence);
      if (row === undefined) throw this.#damaged(`entry ${entry.sequence} is gone`);
      found.push(this.#queuedMessage(entry, row));
    }
    return found;
  }

  #queuedMessage(entry: Entry, row: QueueRow): QueuedMessage {
    const [sequence, flags, identifiers, data] = row;
    try {
      return {
        sequence,
        message: data === null || entry.state === 'released' ? releasedMessage : readMessage(data),
        qos: (flags & 3) === 2 ? 2 : 1,
        retain: (flags & 4) !== 0,
        identifiers: identifiers === null ? [] : identifiers.split(',').map(Number),
        state: entry.state,
        packetId: entry.packetId === 0 ? undefined : entry.packetId,
      };
    } catch (error) {
      throw this.#damaged(`entry ${sequence}: ${messageOf(error)}`);
    }
  }

  #damaged(detail: string): FlotillaError {
    return new FlotillaError('store-damaged', { detail: `${this.#path}: ${detail}` });
  }
}

/** Where the fields of an enqueue stand behind its first byte; see batch-format.ts. */
const enqueueState = 1;
const enqueuePacketId = 2;
const enqueueRow = 4;
const enqueueBytes = 25;

/** What is known of a message whose content was let go. */
const releasedMessage: StoredMessage = {
  topic: '',
  payload: Buffer.alloc(0),
  qos: 2,
  retain: false,
  properties: undefined,
  expiresAtMs: undefined,
  createdAtMs: 0,
  publisher: undefined,
};

function timeNumber(ms: number | undefined): number {
  return ms === undefined ? Number.NaN : Math.round(ms);
}
