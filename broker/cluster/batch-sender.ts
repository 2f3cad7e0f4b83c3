/**
 * The messages from this node to another one: a pure state machine without sockets and timers.
 *
 * All messages of one turn of the event loop become one batch. Those that must be confirmed have a number
 * in each batch that grows by one, and are parked until the other node has acknowledged that number. The
 * others (QoS 0) travel in the same packet, and are lost with it.
 *
 * The sender sends only while it knows which incarnation of the other node it sends to, and what that has
 * applied. Otherwise it probes: the other node reports what it has, and gets the batches after that again,
 * under the same numbers. It probes at the start, after the connection was interrupted, when the other node was
 * started again, and when acknowledgements stay away.
 *
 * A sender that is started again begins a new series of numbers. What its predecessor had parked was not
 * acknowledged to its publishers.
 *
 * @module
 */
import { ReceiverConfirmation } from '../session/delivery/receiver-confirmation.ts';
import {
  encodePeerHeader,
  peerHeaderBytes,
  writePeerHeader,
  type PeerPacket,
} from './peer-packet.ts';
import { RecordBuffer, type BatchRecord } from './record-buffer.ts';

export interface BatchSenderOptions {
  /** Grows with each start of this node. */
  readonly incarnation: number;
  /** When so much is parked, publishers pause; at twice as much, messages are refused. */
  readonly parkedMaxBytes: number;
  /** So much may be sent and not acknowledged; what is parked behind it leaves later. */
  readonly inFlightMaxBytes: number;
  /** A batch does not grow beyond this, except for one larger message. */
  readonly batchMaxBytes: number;
  /** How long an acknowledgement may stay away before the other node is asked, in ms. */
  readonly probeAfterMs: number;
  /** Passes a packet to the connection, which may lose it. The bytes are not changed afterwards. */
  readonly send: (packet: Buffer) => void;
}

interface ParkedBatch {
  readonly number: number;
  readonly numbered: Buffer;
  readonly confirmation: ReceiverConfirmation;
}

export class BatchSender {
  /** How many messages at QoS 0 were dropped because they could not be sent. */
  droppedMessages = 0;
  readonly #options: BatchSenderOptions;
  readonly #parked: ParkedBatch[] = [];
  #parkedBytes = 0;
  readonly #numbered = new RecordBuffer();
  readonly #unnumbered = new RecordBuffer();
  #unnumberedMessages = 0;
  /** The confirmation of the open batch. */
  #confirmation: ReceiverConfirmation | undefined = undefined;
  /** The number of the last batch. */
  #number = 0;
  /** The number of the first batch that was not sent since the last report. */
  #next = 1;
  /** The bytes of the parked batches before that. */
  #inFlightBytes = 0;
  /** The incarnation of the other node; 0: not known. */
  #peer = 0;
  /** Whether it is known what the other node has, so that batches may leave. */
  #isInStep = false;
  /** When there was progress, or a probe; undefined while nothing is expected. */
  #quietSinceMs: number | undefined = undefined;
  #isClosed = false;

  constructor(options: BatchSenderOptions) {
    this.#options = options;
  }

  /** The bytes that wait for an acknowledgement, with those of the open batch. */
  get parkedBytes(): number {
    return this.#parkedBytes + this.#numbered.length;
  }

  get parkedBatches(): number {
    return this.#parked.length;
  }

  get peerIncarnation(): number {
    return this.#peer;
  }

  /**
   * Adds a message that must be confirmed.
   *
   * @returns the confirmation of its batch. It has failed if there is no room, or the sender is closed
   */
  addNumbered(record: BatchRecord): ReceiverConfirmation {
    const { parkedMaxBytes } = this.#options;
    const { parkedBytes } = this;
    if (this.#isClosed || (parkedBytes > 0 && parkedBytes + record.bytes > 2 * parkedMaxBytes)) {
      const refused = new ReceiverConfirmation();
      refused.fail();
      return refused;
    }
    this.#flushIfFull(record.bytes);
    this.#numbered.append(record);
    const confirmation = (this.#confirmation ??= new ReceiverConfirmation());
    if (this.parkedBytes >= parkedMaxBytes) confirmation.pausesPublishers = true;
    return confirmation;
  }

  /** Adds a message that may be lost. */
  addUnnumbered(record: BatchRecord): void {
    if (!this.#isInStep) {
      this.droppedMessages++;
      return;
    }
    this.#flushIfFull(record.bytes);
    this.#unnumberedMessages++;
    this.#unnumbered.append(record);
  }

  /** The end of a turn: the messages of the turn leave. */
  flush(): void {
    this.#park();
    if (this.#isInStep) {
      this.#sendParked();
      // If the last batch had to wait, the messages that may be lost leave without it.
      if (this.#unnumbered.length > 0) this.#sendBatch(undefined);
    } else {
      this.droppedMessages += this.#unnumberedMessages;
      this.#unnumberedMessages = 0;
      this.#unnumbered.clear();
    }
  }

  /** The connection was established, or interrupted for a while: packets may have been lost. */
  reconnected(nowMs: number): void {
    this.#isInStep = false;
    this.#probe(nowMs);
  }

  /** The other node has another incarnation than before. */
  peerStarted(incarnation: number, nowMs: number): void {
    if (incarnation <= this.#peer) return;
    this.#peer = incarnation;
    this.#isInStep = false;
    this.#probe(nowMs);
  }

  /** An acknowledgement, or a report. */
  onAnswer(packet: PeerPacket, nowMs: number): void {
    const { kind, from, to, number, confirmed } = packet;
    if (this.#isClosed || to !== this.#options.incarnation || from < this.#peer) return;
    if (confirmed > this.#number || number > this.#number) return;
    if (kind === 'ack') {
      this.#confirmUpTo(confirmed, nowMs);
      return;
    }
    this.#peer = from;
    this.#quietSinceMs = nowMs;
    this.#isInStep = true;
    this.#next = Math.max(number + 1, this.#confirmed + 1);
    this.#inFlightBytes = 0;
    for (const batch of this.#parked) {
      if (batch.number < this.#next) this.#inFlightBytes += batch.numbered.length;
    }
    this.#sendParked();
    this.#confirmUpTo(confirmed, nowMs);
  }

  /** To be called regularly: asks the other node if acknowledgements stay away. */
  tick(nowMs: number): void {
    if (this.#isClosed || (this.#isInStep && this.#parked.length === 0)) {
      this.#quietSinceMs = undefined;
      return;
    }
    this.#quietSinceMs ??= nowMs;
    if (nowMs - this.#quietSinceMs >= this.#options.probeAfterMs) this.#probe(nowMs);
  }

  /**
   * Nothing is sent any more.
   *
   * @param confirm whether nobody has to wait for what is parked: no session that would have got it exists any
   *   more. Otherwise it fails
   */
  close(confirm: boolean): void {
    this.#isClosed = true;
    this.#isInStep = false;
    this.#unnumbered.clear();
    this.#park();
    const parked = this.#parked.splice(0);
    this.#parkedBytes = 0;
    for (const { confirmation } of parked) {
      if (confirm) confirmation.confirm();
      else confirmation.fail();
    }
  }

  #flushIfFull(bytes: number): void {
    const { batchMaxBytes } = this.#options;
    const gathered = this.#numbered.length + this.#unnumbered.length;
    if (gathered > 0 && peerHeaderBytes + gathered + bytes > batchMaxBytes) this.flush();
  }

  /** Gives the open batch its number, if there is one. */
  #park(): void {
    const confirmation = this.#confirmation;
    if (confirmation === undefined) return;
    this.#confirmation = undefined;
    const numbered = Buffer.allocUnsafeSlow(this.#numbered.length);
    this.#numbered.moveTo(numbered, 0);
    this.#parked.push({ number: ++this.#number, numbered, confirmation });
    this.#parkedBytes += numbered.length;
  }

  /** Sends the batches that were not sent yet, as far as there is room in flight. */
  #sendParked(): void {
    // Numbers have no gaps, so that the position of a batch follows from its number.
    for (;;) {
      const batch = this.#parked[this.#next - this.#confirmed - 1];
      if (batch === undefined) return;
      const bytes = batch.numbered.length;
      if (this.#inFlightBytes > 0 && this.#inFlightBytes + bytes > this.#options.inFlightMaxBytes) {
        return;
      }
      this.#next++;
      this.#inFlightBytes += bytes;
      this.#sendBatch(batch);
    }
  }

  /** Sends a batch, or none, with the messages of this turn that may be lost. */
  #sendBatch(batch: ParkedBatch | undefined): void {
    const numberedBytes = batch?.numbered.length ?? 0;
    // They leave with the last batch, in the turn in which they were added.
    const isLast = batch === undefined || batch.number === this.#number;
    const unnumberedBytes = isLast ? this.#unnumbered.length : 0;
    const packet = Buffer.allocUnsafe(peerHeaderBytes + numberedBytes + unnumberedBytes);
    const header = {
      kind: 'batch',
      from: this.#options.incarnation,
      to: this.#peer,
      number: batch?.number ?? 0,
      confirmed: this.#confirmed,
    } as const;
    writePeerHeader(packet, header, numberedBytes);
    batch?.numbered.copy(packet, peerHeaderBytes);
    if (isLast) {
      this.#unnumbered.moveTo(packet, peerHeaderBytes + numberedBytes);
      this.#unnumberedMessages = 0;
    }
    this.#options.send(packet);
  }

  get #confirmed(): number {
    return (this.#parked[0]?.number ?? this.#number + 1) - 1;
  }

  #probe(nowMs: number): void {
    if (this.#isClosed) return;
    this.#quietSinceMs = nowMs;
    this.#options.send(
      encodePeerHeader({
        kind: 'probe',
        from: this.#options.incarnation,
        to: this.#peer,
        number: this.#number,
        confirmed: this.#confirmed,
      }),
    );
  }

  #confirmUpTo(number: number, nowMs: number): void {
    const count = number - this.#confirmed;
    if (count <= 0) return;
    this.#quietSinceMs = nowMs;
    const confirmed = this.#parked.splice(0, count);
    for (const batch of confirmed) {
      this.#parkedBytes -= batch.numbered.length;
      if (batch.number < this.#next) this.#inFlightBytes -= batch.numbered.length;
    }
    if (this.#next <= number) this.#next = number + 1;
    if (this.#isInStep) this.#sendParked();
    // A publisher that goes on can add messages: the state is complete before.
    for (const { confirmation } of confirmed) confirmation.confirm();
  }
}
