/**
 * What one session is owed: the window of what is in flight at QoS 1 and 2, and the queue behind it.
 *
 * A session that ends with its connection has its queue in memory. A session that is kept has it in
 * the store; in memory stand only the packet ids in flight and a short run of what comes next (the
 * tail). What lies beyond the tail is read from the store when the window has room.
 *
 * QoS 0 waits only for a kept session that is away, if its limits say so, and only in memory: it is not
 * worth a write to the disk, and what a crash forgets cannot come twice. It counts in the same limits,
 * and is what gives way first.
 *
 * Order: everything of a session and a QoS leaves in the order in which it was queued [MQTT-4.6.0-6].
 *
 * @module
 */
import type { QueueOverflow } from '../../../core/config/limits.ts';
import type { QueuedMessage, SessionStore } from '../../store/session-store.ts';
import { Message } from './message.ts';
import { MessageQueue, queuedBytes } from './message-queue.ts';

/** The connection, as far as deliveries need it. */
export interface PacketSink {
  /** Whether the connection takes more that can wait: false while its client does not read. */
  readonly hasRoom: boolean;
  /** At QoS 0; drops, and counts, when there is no room. */
  sendQos0(message: Message, retain: boolean, identifiers: readonly number[]): void;
  /**
   * At QoS 1 or 2. `afterCommit`: must not leave before what was put in the store is durable.
   *
   * @returns why it was not sent: it is larger than the client takes, or a plug-in keeps it back
   */
  sendWithPacketId(
    delivery: Pending,
    packetId: number,
    afterCommit: boolean,
  ): 'too-large' | 'not-allowed' | undefined;
  sendRelease(packetId: number, afterCommit: boolean): void;
}

/** A message that waits for the window. */
export interface Pending {
  readonly message: Message;
  readonly qos: 1 | 2;
  readonly retain: boolean;
  readonly identifiers: readonly number[];
  /** In the store; 0 when it is not there. */
  readonly sequence: number;
  /** Set when it left under this id in an earlier connection: sent again with DUP. */
  readonly packetId: number;
}

/** A QoS 0 message that waits for its session to come back. */
interface WaitingQos0 {
  readonly message: Message;
  readonly retain: boolean;
  readonly identifiers: readonly number[];
}

/** What one session's deliveries may use. */
export interface OutboundLimits {
  readonly queueMaxMessages: number;
  readonly queueMaxBytes: number;
  /** What gives way when the queue is full and nothing of QoS 0 is in it. */
  readonly queueOverflow: QueueOverflow;
  /** Whether QoS 0 is queued while the session is away. */
  readonly queueQos0: boolean;
}

/** What waits at QoS 0 for all sessions together. */
export class Qos0Totals {
  messages = 0;
  bytes = 0;
}

/** What deliveries need from the layer. */
export interface OutboundContext {
  readonly store: SessionStore;
  nowMs(): number;
  /** Whether the session's identity may (still) be given this topic. */
  mayReceive(topic: string): boolean;
  dropped(reason: DropReason, messages: number): void;
  /** Something was put in the store on behalf of the message that is being routed. */
  touched(): void;
  failed(error: unknown): void;
  readonly limits: OutboundLimits;
  readonly qos0Totals: Qos0Totals;
  /** Whether so much more may wait, among all sessions. */
  fitsInTotal(bytes: number): boolean;
}

/** Stable words for the metrics. */
export type DropReason =
  | 'queue-full'
  | 'store-full'
  | 'expired'
  | 'too-large'
  | 'outbound-full'
  | 'not-allowed'
  | 'retained-full'
  | 'session-evicted';

/** In flight. One object for all of an ephemeral session: only the id and the state count there. */
interface InFlight {
  readonly sequence: number;
  readonly qos: 1 | 2;
  readonly released: boolean;
}

const ephemeral1: InFlight = { sequence: 0, qos: 1, released: false };
const ephemeral2: InFlight = { sequence: 0, qos: 2, released: false };
const ephemeralReleased: InFlight = { sequence: 0, qos: 2, released: true };

/** What an acknowledgement found. */
export type AckResult = 'done' | 'unknown' | 'wrong-kind';

const bufferedMaxMessages = 256;
const bufferedMaxBytes = 256 * 1024;
const pageMessages = 128;

export class OutboundQueue {
  readonly #clientId: string;
  readonly #context: OutboundContext;
  #sink: PacketSink | undefined = undefined;
  /** How many may be in flight: the client's receive maximum and our own limit. */
  #window = 0;
  #kept: boolean;
  #inFlight: Map<number, InFlight> | undefined = undefined;
  #lastPacketId = 0;
  readonly #buffered = new MessageQueue<Pending>();
  /** Undefined when nothing waits at QoS 0. */
  #qos0: MessageQueue<WaitingQos0> | undefined = undefined;
  /** How many entries of the store's queue lie behind the tail. */
  #storedBehind = 0;
  /** The highest sequence that was taken into memory in this connection. */
  #readUpTo = 0;
  /** Everything queued with this sequence or a lower one has been dropped. */
  #droppedUpTo = 0;
  /** Counts attachments, so that a page that was asked for by an earlier connection is ignored. */
  #epoch = 0;
  #reading = false;

  constructor(clientId: string, context: OutboundContext, kept: boolean) {
    this.#clientId = clientId;
    this.#context = context;
    this.#kept = kept;
  }

  /** Whether something waits for room, in the window or on the wire. */
  get hasWaiting(): boolean {
    return this.#storedBehind > 0 || this.#buffered.length > 0 || this.#qos0 !== undefined;
  }

  /** Whether QoS 0 waits: more of it has its place behind that. */
  get hasWaitingQos0(): boolean {
    return this.#qos0 !== undefined;
  }

  /** Whether a message would leave at once. */
  get isIdle(): boolean {
    return (
      this.#storedBehind === 0 &&
      this.#buffered.length === 0 &&
      (this.#inFlight?.size ?? 0) < this.#window
    );
  }

  /**
   * A connection takes the session. What the store holds is sent again first: PUBLISH with DUP and
   * PUBREL under their old packet ids, in order [MQTT-4.4.0-1], [MQTT-4.6.0-1].
   */
  attach(sink: PacketSink, window: number, kept: boolean): void {
    this.#epoch++;
    this.#sink = sink;
    this.#window = window;
    this.#kept = kept;
    this.#reading = false;
    this.#clearMemory();
    this.#storedBehind = kept ? this.#context.store.queueOf(this.#clientId).messages : 0;
    this.#readUpTo = 0;
    this.pump();
  }

  /** The connection is gone. What an ephemeral session was owed is gone with it. */
  detach(): void {
    this.#epoch++;
    this.#sink = undefined;
    this.#clearMemory();
  }

  /** Queues or sends at QoS 1 or 2. */
  deliver(message: Message, qos: 1 | 2, retain: boolean, identifiers: readonly number[]): void {
    const { store } = this.#context;
    let sequence = 0;
    if (this.#kept) {
      if (!this.#makeRoom(message)) return;
      sequence = store.enqueue(this.#clientId, {
        message: message.stored(this.#context.nowMs()),
        qos,
        retain,
        identifiers,
      });
      if (sequence === 0) {
        this.#context.dropped('store-full', 1);
        return;
      }
      this.#context.touched();
    }
    const sink = this.#sink;
    if (sink === undefined) {
      if (this.#kept) this.#storedBehind++;
      return;
    }
    const pending: Pending = { message, qos, retain, identifiers, sequence, packetId: 0 };
    if (
      this.#storedBehind === 0 &&
      !this.#reading &&
      this.#buffered.length === 0 &&
      (this.#inFlight?.size ?? 0) < this.#window &&
      sink.hasRoom
    ) {
      if (sequence > this.#readUpTo) this.#readUpTo = sequence;
      this.#send(sink, pending);
      return;
    }
    this.#buffer(pending);
  }

  /** Queues at QoS 0, for a session that is away or has such messages waiting. */
  queueQos0(message: Message, retain: boolean, identifiers: readonly number[]): void {
    const { limits, qos0Totals } = this.#context;
    // Others are not kept for those who are away (which 3.1.1 and 5.0 leave to the server).
    if (this.#sink === undefined && !(this.#kept && limits.queueQos0)) return;
    const bytes = queuedBytes(message);
    while (!this.#hasRoomFor(bytes) || !this.#context.fitsInTotal(bytes)) {
      // It gives way itself when no other of QoS 0 is there: it is not worth one of QoS 1 or 2.
      const reason = this.#hasRoomFor(bytes) ? 'store-full' : 'queue-full';
      const older = this.#shiftQos0();
      this.#context.dropped(reason, 1);
      if (older === undefined) return;
    }
    message.detach();
    (this.#qos0 ??= new MessageQueue()).push({ message, retain, identifiers });
    qos0Totals.messages++;
    qos0Totals.bytes += bytes;
  }

  /** Forgets what waits at QoS 0: the session ends. */
  discardQos0(): void {
    while (this.#shiftQos0() !== undefined);
  }

  /** Sends while the window has room. */
  pump(): void {
    if (this.#qos0 !== undefined) this.#sendWaitingQos0();
    for (;;) {
      const sink = this.#sink;
      if (sink === undefined || (this.#inFlight?.size ?? 0) >= this.#window || !sink.hasRoom) {
        return;
      }
      const pending = this.#buffered.shift();
      if (pending === undefined) {
        if (this.#storedBehind > 0 && !this.#reading) this.#readPage();
        return;
      }
      const { message, packetId } = pending;
      // What left once is sent again even when it expired since: the receiver may know half of it.
      if (packetId === 0 && message.expired(this.#context.nowMs())) {
        this.#drop(pending, 'expired'); // [MQTT-3.3.2-5]
      } else if (packetId === 0 && !this.#context.mayReceive(message.topic)) {
        this.#drop(pending, 'not-allowed');
      } else {
        this.#send(sink, pending);
      }
    }
  }

  /** PUBACK [MQTT-4.3.2-3]: the packet id is free again. */
  onPuback(packetId: number): AckResult {
    const entry = this.#inFlight?.get(packetId);
    if (entry === undefined) return 'unknown';
    if (entry.qos !== 1) return 'wrong-kind';
    this.#finish(packetId, entry);
    return 'done';
  }

  /** PUBREC: success asks for PUBREL [MQTT-4.3.3-4]; a failure ends the exchange. */
  onPubrec(packetId: number, failed: boolean): AckResult {
    const entry = this.#inFlight?.get(packetId);
    if (entry === undefined) return 'unknown';
    if (entry.qos !== 2) return 'wrong-kind';
    if (failed && !entry.released) {
      this.#finish(packetId, entry);
      return 'done';
    }
    if (!entry.released) {
      // Moves to the end: PUBREL are sent in the order of PUBREC [MQTT-4.6.0-4].
      this.#inFlight?.delete(packetId);
      if (entry.sequence === 0) this.#inFlight?.set(packetId, ephemeralReleased);
      else {
        this.#inFlight?.set(packetId, { sequence: entry.sequence, qos: 2, released: true });
        this.#context.store.markReleased(this.#clientId, entry.sequence);
      }
    }
    this.#sink?.sendRelease(packetId, entry.sequence !== 0);
    return 'done';
  }

  /** PUBCOMP: the packet id is free again [MQTT-4.3.3-7]. */
  onPubcomp(packetId: number): AckResult {
    const entry = this.#inFlight?.get(packetId);
    if (entry === undefined) return 'unknown';
    if (!entry.released) return 'wrong-kind';
    this.#finish(packetId, entry);
    return 'done';
  }

  #finish(packetId: number, entry: InFlight): void {
    this.#inFlight?.delete(packetId);
    if (entry.sequence !== 0) this.#context.store.dequeue(this.#clientId, entry.sequence);
    if (this.#buffered.length > 0 || this.#storedBehind > 0) this.pump();
  }

  #send(sink: PacketSink, pending: Pending): void {
    const { sequence, qos } = pending;
    const packetId = pending.packetId === 0 ? this.#nextPacketId() : pending.packetId;
    if (sequence !== 0 && pending.packetId === 0) {
      this.#context.store.markSent(this.#clientId, sequence, packetId);
    }
    const kept = sink.sendWithPacketId(pending, packetId, sequence !== 0 && qos === 2);
    if (kept !== undefined) {
      // [MQTT-3.1.2-25]: too large for this client: as if it had been delivered.
      this.#drop(pending, kept);
      return;
    }
    this.#inFlight ??= new Map();
    this.#inFlight.set(
      packetId,
      sequence === 0 ? (qos === 1 ? ephemeral1 : ephemeral2) : { sequence, qos, released: false },
    );
  }

  /** Counts from 1, skips what is in flight [MQTT-2.2.1-3]. The window is smaller than the ids. */
  #nextPacketId(): number {
    let id = this.#lastPacketId;
    do id = id === 65_535 ? 1 : id + 1;
    while (this.#inFlight?.has(id) === true);
    return (this.#lastPacketId = id);
  }

  #buffer(pending: Pending): void {
    if (this.#kept) {
      // Behind entries that are only in the store, it must stay there too.
      if (
        this.#storedBehind > 0 ||
        this.#reading ||
        this.#buffered.length >= bufferedMaxMessages ||
        this.#buffered.bytes >= bufferedMaxBytes
      ) {
        this.#storedBehind++;
        return;
      }
    } else {
      const { queueMaxMessages, queueMaxBytes, queueOverflow } = this.#context.limits;
      const bytes = queuedBytes(pending.message);
      while (
        this.#buffered.length + 1 > queueMaxMessages ||
        this.#buffered.bytes + bytes > queueMaxBytes
      ) {
        this.#context.dropped('queue-full', 1);
        if (queueOverflow === 'drop-newest' || this.#buffered.shift() === undefined) return;
      }
    }
    pending.message.detach();
    this.#buffered.push(pending);
    if (pending.sequence > this.#readUpTo) this.#readUpTo = pending.sequence;
  }

  /** Makes room in the kept queue; false when the new message itself gives way. */
  #makeRoom(message: Message): boolean {
    const { store, limits } = this.#context;
    const bytes = queuedBytes(message);
    while (!this.#hasRoomFor(bytes)) {
      this.#context.dropped('queue-full', 1);
      if (this.#shiftQos0() !== undefined) continue;
      const sequence =
        limits.queueOverflow === 'drop-newest' ? 0 : store.dropOldest(this.#clientId);
      // The policy's choice, or all that is there is in flight.
      if (sequence === 0) return false;
      this.#droppedUpTo = sequence;
      if (this.#buffered.first?.sequence === sequence) this.#buffered.shift();
      else if (this.#storedBehind > 0) this.#storedBehind--;
    }
    return true;
  }

  /** Whether one more fits into what this session may have waiting. */
  #hasRoomFor(bytes: number): boolean {
    const { store, limits } = this.#context;
    const size = store.queueOf(this.#clientId);
    return (
      size.messages + (this.#qos0?.length ?? 0) + 1 <= limits.queueMaxMessages &&
      size.bytes + (this.#qos0?.bytes ?? 0) + bytes <= limits.queueMaxBytes
    );
  }

  #shiftQos0(): WaitingQos0 | undefined {
    const plain = this.#qos0?.shift();
    if (plain === undefined) return undefined;
    const { qos0Totals } = this.#context;
    qos0Totals.messages--;
    qos0Totals.bytes -= queuedBytes(plain.message);
    if (this.#qos0?.length === 0) this.#qos0 = undefined;
    return plain;
  }

  #sendWaitingQos0(): void {
    const sink = this.#sink;
    while (sink?.hasRoom === true) {
      const plain = this.#shiftQos0();
      if (plain === undefined) return;
      const { message, retain, identifiers } = plain;
      if (message.expired(this.#context.nowMs())) this.#context.dropped('expired', 1);
      else if (!this.#context.mayReceive(message.topic)) this.#context.dropped('not-allowed', 1);
      else sink.sendQos0(message, retain, identifiers);
    }
  }

  #drop(pending: Pending, reason: DropReason): void {
    if (pending.sequence !== 0) this.#context.store.dequeue(this.#clientId, pending.sequence);
    this.#context.dropped(reason, 1);
  }

  #readPage(): void {
    this.#reading = true;
    const epoch = this.#epoch;
    this.#context.store.readQueue(this.#clientId, this.#readUpTo, pageMessages).then(
      (page) => {
        if (epoch !== this.#epoch) return;
        this.#reading = false;
        this.#bufferPage(page);
        this.pump();
      },
      (error: unknown) => {
        if (epoch !== this.#epoch) return;
        this.#reading = false;
        this.#context.failed(error);
      },
    );
  }

  #bufferPage(page: readonly QueuedMessage[]): void {
    // An empty page: there is nothing, whatever was counted.
    if (page.length === 0) this.#storedBehind = 0;
    for (const entry of page) {
      if (entry.sequence > this.#readUpTo) this.#readUpTo = entry.sequence;
      if (entry.state === 'queued' && entry.sequence <= this.#droppedUpTo) continue;
      if (this.#storedBehind > 0) this.#storedBehind--;
      if (entry.state === 'released' && entry.packetId !== undefined) {
        this.#inFlight ??= new Map();
        this.#inFlight.set(entry.packetId, { sequence: entry.sequence, qos: 2, released: true });
        this.#sink?.sendRelease(entry.packetId, true);
        continue;
      }
      const pending: Pending = {
        message: Message.fromStored(entry.message),
        qos: entry.qos,
        retain: entry.retain,
        identifiers: entry.identifiers,
        sequence: entry.sequence,
        packetId: entry.packetId ?? 0,
      };
      this.#buffered.push(pending);
    }
  }

  #clearMemory(): void {
    this.#inFlight = undefined;
    this.#lastPacketId = 0;
    this.#buffered.clear();
    this.#reading = false;
    this.#storedBehind = this.#kept ? this.#context.store.queueOf(this.#clientId).messages : 0;
  }
}
