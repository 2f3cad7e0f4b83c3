/**
 * The outbound messages of one session: the window of QoS 1 and 2 messages in flight, and the queue
 * behind it.
 *
 * A session that ends with its connection has its queue in memory. A kept session has it in the store;
 * in memory are only the packet ids in flight and a buffer with the next messages. The messages behind
 * the buffer are read from the store when the window has room.
 *
 * QoS 0 messages wait only for a kept session that is offline, only if its limits allow it, and only in
 * memory. They count in the same limits and are dropped first.
 *
 * Order: all messages of a session and a QoS are sent in the order in which they were queued
 * [MQTT-4.6.0-6].
 *
 * @module
 */
import type { QueuedMessage } from '../../store/session-store.ts';
import { releasedInFlight, sentInFlight, type AckResult, type InFlight } from './in-flight.ts';
import { Message } from './message.ts';
import { MessageQueue, queuedBytes } from './message-queue.ts';
import type { DropReason, OutboundContext } from './outbound-context.ts';
import type { OutboundDelivery, PacketSink } from './packet-sink.ts';
import { CountedQueue, type WaitingQos0 } from './memory-queue.ts';

const bufferedMaxMessages = 256;
const bufferedMaxBytes = 256 * 1024;
const pageMessages = 128;

export class OutboundQueue {
  readonly #clientId: string;
  readonly #context: OutboundContext;
  #sink: PacketSink | undefined = undefined;
  /** How many messages may be in flight: the client's Receive Maximum or our own limit. */
  #window = 0;
  #kept: boolean;
  #inFlight: Map<number, InFlight> | undefined = undefined;
  #lastPacketId = 0;
  /** Of a kept session, a few messages that are in the store too; otherwise all that wait. */
  readonly #buffered: MessageQueue<OutboundDelivery> | CountedQueue<OutboundDelivery>;
  /** Undefined while no QoS 0 message waits. */
  #qos0: CountedQueue<WaitingQos0> | undefined = undefined;
  /** How many messages of the store's queue have not been read into memory. */
  #unread = 0;
  /** The highest sequence that was read into memory for this connection. */
  #readUpTo = 0;
  /** All messages queued with this sequence or a lower one were dropped. */
  #droppedUpTo = 0;
  /** Counts connections: a page that an earlier connection requested is ignored. */
  #connectionNumber = 0;
  #reading = false;

  constructor(clientId: string, context: OutboundContext, kept: boolean) {
    this.#clientId = clientId;
    this.#context = context;
    this.#kept = kept;
    this.#buffered = kept ? new MessageQueue() : new CountedQueue(context.memoryTotals);
  }

  /** Whether a message waits for the window, or for the connection to have room. */
  get hasWaiting(): boolean {
    return this.#unread > 0 || this.#buffered.length > 0 || this.#qos0 !== undefined;
  }

  /** Whether QoS 0 messages wait: new ones must queue behind them. */
  get hasWaitingQos0(): boolean {
    return this.#qos0 !== undefined;
  }

  /** How many messages are sent and not acknowledged. */
  get inFlightCount(): number {
    return this.#inFlight?.size ?? 0;
  }

  /** What waits in memory: all that waits, for a session that is not kept. */
  get waitingInMemory(): { readonly messages: number; readonly bytes: number } {
    return {
      messages: this.#buffered.length + (this.#qos0?.length ?? 0),
      bytes: this.#buffered.bytes + (this.#qos0?.bytes ?? 0),
    };
  }

  /** Whether the window would let a message leave at once. */
  get isIdle(): boolean {
    return this.#unread === 0 && this.#buffered.length === 0 && this.#windowHasRoom;
  }

  get #windowHasRoom(): boolean {
    return (this.#inFlight?.size ?? 0) < this.#window;
  }

  /**
   * Starts sending to a connection. The messages in the store are sent first: PUBLISH with DUP and
   * PUBREL under their old packet ids, in order [MQTT-4.4.0-1], [MQTT-4.6.0-1].
   */
  attach(sink: PacketSink, window: number, kept: boolean): void {
    this.#connectionNumber++;
    this.#sink = sink;
    this.#window = window;
    this.#kept = kept;
    this.#clearMemory();
    this.#readUpTo = 0;
    this.pump();
  }

  /** The connection is closed. The queue of a session that is not kept is lost with it. */
  detach(): void {
    this.#connectionNumber++;
    this.#sink = undefined;
    this.#clearMemory();
  }

  /**
   * Sends or queues a message at QoS 1 or 2.
   *
   * @returns whether the message was put in the store
   */
  deliver(message: Message, qos: 1 | 2, retain: boolean, identifiers: readonly number[]): boolean {
    const { queues } = this.#context;
    let sequence = 0;
    if (this.#kept) {
      if (!this.#makeRoom(message)) return false;
      sequence = queues.enqueue(this.#clientId, {
        message: message.toStored(this.#context.nowMs()),
        qos,
        retain,
        identifiers,
      });
      if (sequence === 0) {
        this.#context.dropped('store-full', 1);
        return false;
      }
    }
    const sink = this.#sink;
    if (sink === undefined) {
      if (this.#kept) this.#unread++;
      return this.#kept;
    }
    const delivery: OutboundDelivery = { message, qos, retain, identifiers, sequence, packetId: 0 };
    if (this.isIdle && !this.#reading && sink.hasRoom) {
      if (sequence > this.#readUpTo) this.#readUpTo = sequence;
      this.#send(sink, delivery);
    } else {
      this.#buffer(delivery);
    }
    return this.#kept;
  }

  /** Queues a QoS 0 message for a session that is offline or has QoS 0 messages waiting. */
  queueQos0(message: Message, retain: boolean, identifiers: readonly number[]): void {
    const { limits, memoryTotals } = this.#context;
    // MQTT leaves it to the server whether QoS 0 messages are kept for offline sessions.
    if (this.#sink === undefined && !(this.#kept && limits.queueQos0)) return;
    const bytes = queuedBytes(message);
    while (!this.#hasRoomFor(bytes) || !this.#context.fitsInTotal(bytes)) {
      // Older QoS 0 messages are dropped first. If there are none, the new message itself is dropped:
      // a QoS 1 or 2 message is worth more.
      const reason = this.#hasRoomFor(bytes) ? 'store-full' : 'queue-full';
      const older = this.#shiftQos0();
      this.#context.dropped(reason, 1);
      if (older === undefined) return;
    }
    (this.#qos0 ??= new CountedQueue<WaitingQos0>(memoryTotals)).push({
      message,
      retain,
      identifiers,
    });
  }

  /** Discards the waiting QoS 0 messages: the session ends. */
  discardQos0(): void {
    while (this.#shiftQos0() !== undefined);
  }

  /** Sends waiting messages while the window and the connection have room. */
  pump(): void {
    if (this.#qos0 !== undefined) this.#sendWaitingQos0();
    for (;;) {
      const sink = this.#sink;
      if (sink === undefined || !this.#windowHasRoom || !sink.hasRoom) return;
      const delivery = this.#buffered.shift();
      if (delivery === undefined) {
        if (this.#unread > 0 && !this.#reading) this.#readPage();
        return;
      }
      const { message, packetId } = delivery;
      // A message that was sent before is sent again even if it has expired since: the receiver may
      // know half of it.
      if (packetId === 0 && this.#context.hasExpired(message)) {
        this.#drop(delivery, 'expired'); // [MQTT-3.3.2-5]
      } else if (packetId === 0 && !this.#context.mayReceive(message.topic)) {
        this.#drop(delivery, 'not-allowed');
      } else {
        this.#send(sink, delivery);
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

  /** PUBREC: success is answered by PUBREL [MQTT-4.3.3-4]; a failure ends the exchange. */
  onPubrec(packetId: number, failed: boolean): AckResult {
    const entry = this.#inFlight?.get(packetId);
    if (entry === undefined) return 'unknown';
    if (entry.qos !== 2) return 'wrong-kind';
    if (failed && !entry.released) {
      this.#finish(packetId, entry);
      return 'done';
    }
    if (!entry.released) {
      // Moves to the end of the map: PUBREL packets are sent in the order of PUBREC [MQTT-4.6.0-4].
      this.#inFlight?.delete(packetId);
      this.#inFlight?.set(packetId, releasedInFlight(entry.sequence));
      if (entry.sequence !== 0) this.#context.queues.markReleased(this.#clientId, entry.sequence);
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
    if (entry.sequence !== 0) this.#context.queues.dequeue(this.#clientId, entry.sequence);
    if (this.#buffered.length > 0 || this.#unread > 0) this.pump();
  }

  #send(sink: PacketSink, delivery: OutboundDelivery): void {
    const { sequence, qos } = delivery;
    const packetId = delivery.packetId === 0 ? this.#nextPacketId() : delivery.packetId;
    if (sequence !== 0 && delivery.packetId === 0) {
      this.#context.queues.markSent(this.#clientId, sequence, packetId);
    }
    const notSent = sink.sendWithPacketId(delivery, packetId, sequence !== 0 && qos === 2);
    if (notSent !== undefined) {
      // [MQTT-3.1.2-25]: a message too large for this client is treated as if it had been delivered.
      this.#drop(delivery, notSent);
      return;
    }
    (this.#inFlight ??= new Map()).set(packetId, sentInFlight(sequence, qos));
  }

  /** Counts from 1 and skips ids in flight [MQTT-2.2.1-3]. The window is smaller than the id range. */
  #nextPacketId(): number {
    let id = this.#lastPacketId;
    do id = id === 65_535 ? 1 : id + 1;
    while (this.#inFlight?.has(id) === true);
    return (this.#lastPacketId = id);
  }

  #buffer(delivery: OutboundDelivery): void {
    if (this.#kept) {
      // Behind messages that are only in the store, it must stay in the store too.
      if (
        this.#unread > 0 ||
        this.#reading ||
        this.#buffered.length >= bufferedMaxMessages ||
        this.#buffered.bytes >= bufferedMaxBytes
      ) {
        this.#unread++;
        return;
      }
    } else {
      const { queueMaxMessages, queueMaxBytes, queueOverflow } = this.#context.limits;
      const bytes = queuedBytes(delivery.message);
      while (
        this.#buffered.length + 1 > queueMaxMessages ||
        this.#buffered.bytes + bytes > queueMaxBytes
      ) {
        this.#context.dropped('queue-full', 1);
        if (queueOverflow === 'drop-newest' || this.#buffered.shift() === undefined) return;
      }
      // The memory that all of them may use: the new message is dropped.
      if (!this.#context.fitsInTotal(bytes)) {
        this.#context.dropped('store-full', 1);
        return;
      }
    }
    delivery.message.detach();
    this.#buffered.push(delivery);
    if (delivery.sequence > this.#readUpTo) this.#readUpTo = delivery.sequence;
  }

  /** Makes room in the queue of a kept session; false if the new message is to be dropped instead. */
  #makeRoom(message: Message): boolean {
    const { queues, limits } = this.#context;
    const bytes = queuedBytes(message);
    while (!this.#hasRoomFor(bytes)) {
      this.#context.dropped('queue-full', 1);
      if (this.#shiftQos0() !== undefined) continue;
      const sequence =
        limits.queueOverflow === 'drop-newest' ? 0 : queues.dropOldest(this.#clientId);
      // The policy drops the newest message, or all messages of the queue are in flight.
      if (sequence === 0) return false;
      this.#droppedUpTo = sequence;
      if (this.#buffered.first?.sequence === sequence) this.#buffered.shift();
      else if (this.#unread > 0) this.#unread--;
    }
    return true;
  }

  /** Whether one more message of this size fits into the limits of this session. */
  #hasRoomFor(bytes: number): boolean {
    const { queues, limits } = this.#context;
    const size = queues.queueOf(this.#clientId);
    return (
      size.messages + (this.#qos0?.length ?? 0) + 1 <= limits.queueMaxMessages &&
      size.bytes + (this.#qos0?.bytes ?? 0) + bytes <= limits.queueMaxBytes
    );
  }

  #shiftQos0(): WaitingQos0 | undefined {
    const oldest = this.#qos0?.shift();
    if (this.#qos0?.length === 0) this.#qos0 = undefined;
    return oldest;
  }

  #sendWaitingQos0(): void {
    const sink = this.#sink;
    while (sink?.hasRoom === true) {
      const waiting = this.#shiftQos0();
      if (waiting === undefined) return;
      const { message, retain, identifiers } = waiting;
      if (this.#context.hasExpired(message)) this.#context.dropped('expired', 1);
      else if (!this.#context.mayReceive(message.topic)) this.#context.dropped('not-allowed', 1);
      else sink.sendQos0(message, retain, identifiers);
    }
  }

  #drop(delivery: OutboundDelivery, reason: DropReason): void {
    if (delivery.sequence !== 0) this.#context.queues.dequeue(this.#clientId, delivery.sequence);
    this.#context.dropped(reason, 1);
  }

  #readPage(): void {
    this.#reading = true;
    const requestedBy = this.#connectionNumber;
    this.#context.queues.readQueue(this.#clientId, this.#readUpTo, pageMessages).then(
      (page) => {
        if (requestedBy !== this.#connectionNumber) return;
        this.#reading = false;
        this.#bufferPage(page);
        this.pump();
      },
      (error: unknown) => {
        if (requestedBy !== this.#connectionNumber) return;
        this.#reading = false;
        this.#context.failed(error);
      },
    );
  }

  #bufferPage(page: readonly QueuedMessage[]): void {
    // An empty page means that nothing is left, whatever the count says.
    if (page.length === 0) this.#unread = 0;
    for (const { sequence, state, packetId, message, qos, retain, identifiers } of page) {
      if (sequence > this.#readUpTo) this.#readUpTo = sequence;
      if (state === 'queued' && sequence <= this.#droppedUpTo) continue;
      if (this.#unread > 0) this.#unread--;
      if (state === 'released' && packetId !== undefined) {
        (this.#inFlight ??= new Map()).set(packetId, releasedInFlight(sequence));
        this.#sink?.sendRelease(packetId, true);
        continue;
      }
      this.#buffered.push({
        message: Message.fromStored(message),
        qos,
        retain,
        identifiers,
        sequence,
        packetId: packetId ?? 0,
      });
    }
  }

  #clearMemory(): void {
    this.#inFlight = undefined;
    this.#lastPacketId = 0;
    this.#buffered.clear();
    this.#reading = false;
    this.#unread = this.#kept ? this.#context.queues.queueOf(this.#clientId).messages : 0;
  }
}
