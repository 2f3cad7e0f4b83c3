/**
 * One client connection: what a client negotiated at CONNECT, the packets that are sent to it, and the
 * end of the connection.
 *
 * The handlers of received packets are in `handlers/`, one file for each packet type. Reading is in
 * `connection-reader.ts`, writing in `connection-writer.ts`; `commit-gate.ts` decides what must wait
 * for the store, and `write-scheduler.ts` when packets are written.
 *
 * @module
 */
import type { ErrorCode } from '../../../core/errors/catalogue.ts';
import type { Identity } from '../../contracts/identity.ts';
import type { Connection } from '../../contracts/session-layer.ts';
import type { Wire } from '../../contracts/connection-wire.ts';
import { fitsClient } from '../delivery/delivery-bytes.ts';
import type { ReceiverConfirmation } from '../delivery/receiver-confirmation.ts';
import type { Message } from '../delivery/message.ts';
import type { OutboundDelivery } from '../delivery/packet-sink.ts';
import type { OutboundAliases } from '../delivery/topic-aliases.ts';
import type { WriteBatch } from '../output/write-batch.ts';
import type { SessionContext } from '../state/context.ts';
import type { Publisher } from '../state/publisher.ts';
import type { Session } from '../state/session.ts';
import type { SessionRegistry } from '../state/session-registry.ts';
import { willSuppressingCodes, type WillFate } from '../state/wills.ts';
import {
  acknowledgementTemplate,
  acknowledgementWithReason,
  packetFirstByte,
} from '../wire/acknowledgement.ts';
import { disconnectFor } from '../wire/answers.ts';
import { ProtocolFault } from '../wire/fault.ts';
import { CommitGate } from './commit-gate.ts';
import { ConnectionReader, pauseReasons } from './connection-reader.ts';
import type { ConnectionRoles } from './connection-roles.ts';
import { ConnectionWriter } from './connection-writer.ts';
import { sendQos0, sendWithPacketId } from './delivery-sender.ts';
import { rateLimitOf, type RateLimit } from './rate-limit.ts';
import type { RetainedSender } from './retained-sender.ts';
import type { TopicCache } from './topic-cache.ts';
import type { ReadTurns } from './read-turns.ts';
import type { UnconfirmedTopics } from './unconfirmed-topics.ts';
import type { WriteScheduler } from './write-scheduler.ts';

/** Handles one whole packet of a client. Throws a ProtocolFault to close the connection. */
export type Dispatch = (
  client: ClientConnection,
  bytes: Buffer,
  start: number,
  body: number,
  end: number,
) => void;

/** What all connections of a session layer share. */
export interface ConnectionHost {
  readonly context: SessionContext;
  readonly publisher: Publisher;
  readonly sessions: SessionRegistry;
  readonly scheduler: WriteScheduler;
  readonly readTurns: ReadTurns;
  readonly retainedSender: Pick<RetainedSender, 'send'>;
  /** The packet handlers. Passed in, because they import this file. */
  readonly dispatch: Dispatch;
  /**
   * Whether a connection is read although its client does not read. If both ends of a link stopped, neither would
   * ever continue.
   */
  readonly alwaysReads: boolean;
  /** The open connections of an identity. */
  connectionsOf(id: string): readonly Connection[];
  /** CONNECT was accepted. */
  connectionAccepted(client: ClientConnection): void;
  connectionClosed(client: ClientConnection): void;
  /** A connection does not use its session any more. @param will what becomes of its will */
  releaseSession(session: Session, will: WillFate): void;
}

/** How long a closed connection waits for the commit of what it accepted, in ms. */
const endingMaxMs = 10_000;
/** Reasons to end a connection at once: its client does not read, nothing can be committed, no rights. */
const cuttingCodes = new Set([
  ...willSuppressingCodes,
  'outbound-too-slow',
  'store-write-failed',
  'delivery-unconfirmed',
]);

export class ClientConnection implements ConnectionRoles {
  readonly identity: Identity;
  readonly connectedAtMs: number;
  readonly host: ConnectionHost;
  readonly context: SessionContext;
  readonly wire: Wire;
  readonly reader: ConnectionReader;
  clientId: string | undefined = undefined;
  protocolVersion: 3 | 4 | 5 | undefined = undefined;
  isMqtt5 = false;
  /** Undefined until CONNECT was accepted. */
  session: Session | undefined = undefined;
  closed = false;
  /** 1.5 times the Keep Alive, in ms; 0: no limit [MQTT-3.1.2-22]. */
  keepAliveTimeoutMs = 0;
  /** The client's Maximum Packet Size in bytes; 0: no limit [MQTT-3.1.2-24]. */
  packetOutMaxBytes = 0;
  /** Whether packets other than CONNACK and DISCONNECT may have a reason string [MQTT-3.1.2-29]. */
  problemInformation = true;
  /** The session expiry of CONNECT: if it was 0, DISCONNECT must not raise it. */
  requestedExpirySeconds = 0;
  outboundAliases: OutboundAliases | undefined = undefined;
  topicCache: TopicCache | undefined = undefined;
  rateLimit: RateLimit | undefined = undefined;
  /** How many QoS 1 and 2 messages the client may have unacknowledged [MQTT-3.3.4-7]. */
  receiveMaximum = 65_535;
  /** The QoS 2 packet ids that earlier connections of the session sent and did not release. */
  unreleased: Set<number> | undefined = undefined;
  #onEnd: (() => void) | undefined;
  /** Undefined until it has published a retained message that other partitions must confirm. */
  unconfirmedTopics: UnconfirmedTopics | undefined = undefined;
  readonly #gate: CommitGate;
  readonly #writer: ConnectionWriter;
  #closeCode: ErrorCode | undefined = undefined;
  /** Set while a closed connection sends the acknowledgements that wait for a commit. */
  #ending: { readonly disconnect: Buffer | undefined; readonly untilMs: number } | undefined =
    undefined;
  /** Whether the client closed the connection with a DISCONNECT that discards the will. */
  #closedCleanly = false;

  /** @param onEnd called once when the connection is closed and released */
  constructor(host: ConnectionHost, wire: Wire, identity: Identity, onEnd?: () => void) {
    const { context } = host;
    this.host = host;
    this.context = context;
    this.wire = wire;
    this.#onEnd = onEnd;
    this.identity = identity;
    this.connectedAtMs = context.clock.now();
    this.reader = new ConnectionReader(this, wire, context, (bytes, start, body, end) => {
      host.dispatch(this, bytes, start, body, end);
      return this.reader.afterPacket();
    });
    this.#gate = new CommitGate(this, host);
    this.#writer = new ConnectionWriter(this, wire, context);
    wire.listen(this, context.batches.buffers);
  }

  /** The QoS 1 messages that are not acknowledged yet: the store or other partitions have not confirmed them. */
  get pubacksPending(): number {
    return this.#gate.pubacksPending;
  }

  /** Uses a session of the system itself: without CONNECT and CONNACK, and with MQTT 5.0. */
  openWithoutConnect(session: Session): void {
    this.#gate.open();
    this.open(session, 5);
  }

  /** CONNECT was accepted. */
  open(session: Session, version: 3 | 4 | 5): void {
    this.session = session;
    this.clientId = session.clientId;
    this.setVersion(version);
    this.setRateLimit();
    const { awaitingPubrel } = session;
    if (this.isMqtt5 && awaitingPubrel !== undefined && awaitingPubrel.size > 0) {
      this.unreleased = new Set(awaitingPubrel);
    }
    this.reader.acceptAllPackets();
  }

  setVersion(version: 3 | 4 | 5): void {
    this.protocolVersion = version;
    this.isMqtt5 = version === 5;
    this.reader.setVersion(this.isMqtt5);
  }

  /** Applies the rate limits of the identity. */
  setRateLimit(): void {
    const { authorizer, clock } = this.context;
    this.rateLimit = rateLimitOf(authorizer.limits(this.identity), clock.monotonicMs());
  }

  get hasRoom(): boolean {
    if (this.closed) return false;
    const { limits, rooms } = this.context;
    const maxBytes = rooms.outbound.shareOf(limits.outboundPerConnectionMaxBytes);
    return this.#writer.bytes + this.#gate.bytes < maxBytes;
  }

  /** Sends bytes unchanged at the end of this turn, but not before CONNACK. */
  send(bytes: Buffer, start = 0, end = bytes.length): void {
    this.#gate.batchFor(false).add(bytes, start, end);
  }

  /** SUBACK and UNSUBACK. @param stored whether they confirm something that was put in the store */
  sendAfterCommit(bytes: Buffer, stored: boolean): void {
    if (fitsClient(this, bytes.length)) {
      this.#gate.orderedBatchFor(stored).add(bytes, 0, bytes.length);
    } else this.close('packet-too-large');
  }

  /**
   * CONNACK: the first packet. A client that does not accept its size is disconnected [MQTT-3.1.2-24].
   *
   * @param stored whether the session or the will was put in the store
   */
  sendConnack(bytes: Buffer, stored: boolean): void {
    if (fitsClient(this, bytes.length)) {
      this.#gate.connackBatchFor(stored).add(bytes, 0, bytes.length);
    } else this.close('packet-too-large');
  }

  /**
   * PUBACK, PUBREC or PUBCOMP, sent in the order of the calls [MQTT-4.6.0-2].
   *
   * @param firstByte the packet type: one of {@link packetFirstByte}
   * @param stored whether it confirms something that was put in the store
   */
  acknowledge(firstByte: number, packetId: number, reasonCode: number, stored: boolean): void {
    const batch =
      firstByte === packetFirstByte.puback
        ? this.#gate.pubackBatchFor(stored)
        : this.#gate.orderedBatchFor(stored);
    if (reasonCode === 0 || !this.isMqtt5) {
      batch.addPatched(acknowledgementTemplate, 0, 4, 2, firstByte, packetId);
    } else {
      batch.add(acknowledgementWithReason(firstByte, packetId, reasonCode), 0, 5);
    }
  }

  /**
   * The acknowledgements from now on wait for these confirmations too. While as many packets wait
   * as the client may have messages unacknowledged, the connection is not read.
   *
   * @returns false if nothing may be acknowledged: a confirmation has failed, or the connection is closed
   */
  awaitConfirmations(confirmations: readonly ReceiverConfirmation[]): boolean {
    if (this.closed) return false;
    if (confirmations.some(({ hasFailed }) => hasFailed)) {
      this.close('delivery-unconfirmed');
      return false;
    }
    this.#gate.awaitConfirmations(confirmations);
    return true;
  }

  /**
   * Calls back when the packets before it no longer wait for confirmations: now, if they do not. Never if they are
   * discarded.
   */
  whenConfirmed(call: () => void): void {
    this.#gate.whenConfirmed(call);
  }

  sendQos0(message: Message, retain: boolean, identifiers: readonly number[]): void {
    if (!this.closed) sendQos0(this, this.#gate, message, retain, identifiers);
  }

  sendWithPacketId(
    delivery: OutboundDelivery,
    packetId: number,
    afterCommit: boolean,
  ): 'too-large' | 'not-allowed' | undefined {
    return sendWithPacketId(this, this.#gate, delivery, packetId, afterCommit);
  }

  sendRelease(packetId: number, afterCommit: boolean): void {
    if (this.closed) return;
    this.#gate
      .batchFor(afterCommit)
      .addPatched(acknowledgementTemplate, 0, 4, 2, packetFirstByte.pubrel, packetId);
  }

  flush(): void {
    const batch = this.#gate.take();
    if (batch === undefined) return;
    this.#writer.write(batch);
    this.context.batches.release(batch);
  }

  takeAwaitingCommit(): WriteBatch | undefined {
    return this.#gate.takeAwaitingCommit();
  }

  onCommit(batch: WriteBatch, failed: boolean): void {
    this.#gate.release(batch, !failed && (!this.closed || this.#ending !== undefined));
    // After a failed commit nothing may be acknowledged.
    if (failed) this.close('store-write-failed');
    else this.reader.resume(pauseReasons.store);
    if (this.#ending !== undefined && (failed || !this.#gate.isWaiting)) this.#finish();
  }

  pauseForConfirmations(): void {
    this.reader.pause(pauseReasons.confirmations);
  }

  onConfirmed(): void {
    if (this.#ending !== undefined && !this.#gate.isWaiting) this.#finish();
    if (this.#gate.isFull) return;
    this.reader.resume(pauseReasons.confirmations);
    this.resumeSending();
  }

  onUnconfirmed(reason: 'store-write-failed' | 'delivery-unconfirmed'): void {
    this.close(reason);
    if (this.#ending !== undefined) this.#finish();
  }

  onData(chunk: Buffer): void {
    this.reader.read(chunk);
  }

  get needsRoomNotice(): boolean {
    return (
      this.reader.isPausedFor(pauseReasons.outbound) || this.session?.outbound.hasWaiting === true
    );
  }

  onRoom(): void {
    this.#writer.sendBacklog();
    this.resumeSending();
  }

  resumeSending(): void {
    if (!this.hasRoom) return;
    this.reader.resume(pauseReasons.outbound);
    this.session?.outbound.pump();
  }

  reauthorize(): void {
    this.topicCache?.forget();
    if (this.session === undefined) return;
    this.setRateLimit();
    this.host.sessions.reauthorize(this.session);
  }

  /** The process did not run for a while, which does not count as silence of the client. */
  onProcessPaused(ms: number): void {
    this.reader.onProcessPaused(ms);
    this.#writer.onProcessPaused(ms);
  }

  /** Checks the timeouts of CONNECT, of keep alive, and of a slow client. Called about every 500 ms. */
  sweep(nowMs: number): void {
    if (!this.closed) this.#checkTimeouts(nowMs);
    else if (this.#ending !== undefined && nowMs >= this.#ending.untilMs) this.#finish();
    this.#writer.sweep(nowMs);
  }

  #checkTimeouts(nowMs: number): void {
    const { limits, hooks } = this.context;
    const silenceMs = this.reader.silenceMs(nowMs);
    if (this.session === undefined) {
      // The time for CONNECT begins with the connection, even if single bytes keep arriving.
      const waitedMs = this.reader.ageMs(nowMs);
      if (waitedMs >= limits.connectTimeoutMs) this.close('connect-timeout');
    } else if (this.keepAliveTimeoutMs > 0 && silenceMs >= this.keepAliveTimeoutMs) {
      if (hooks.hasListeners.keepaliveTimeout) hooks.emit('keepaliveTimeout', hooks.clientOf(this));
      this.close('keep-alive-timeout');
    }
  }

  /** The client sent DISCONNECT. `code`: set if the will is to be published. */
  endByClient(code: ErrorCode | undefined): void {
    this.#closeCode = code;
    this.#closedCleanly = code === undefined;
    this.#end();
  }

  close(code: ErrorCode): void {
    this.#closeWithDetail(code, undefined);
  }

  /**
   * Closes the connection, after the acknowledgements of everything that was accepted. An MQTT 5.0
   * client gets a DISCONNECT with the reason and the detail.
   */
  #closeWithDetail(code: ErrorCode, detail: string | undefined): void {
    if (this.closed) return;
    this.#closeCode = code;
    // Before CONNACK there is no session that could report that it is disconnected.
    if (this.session === undefined) this.context.events.refused(this.identity, code, detail ?? '');
    const shown = this.problemInformation ? detail : undefined;
    const disconnect =
      this.session !== undefined && this.isMqtt5
        ? disconnectFor(code, shown, this.packetOutMaxBytes)
        : undefined;
    this.#end(disconnect, !cuttingCodes.has(code));
  }

  /** Rejects a CONNECT: sends the CONNACK, if there is one, and closes the connection. */
  rejectConnect(connack: Buffer | undefined): void {
    if (connack !== undefined) {
      this.#gate.open();
      this.send(connack);
    }
    this.#end();
  }

  onReadError(error: unknown): void {
    const { events, hooks } = this.context;
    if (error instanceof Error && !this.closed) hooks.reportError(this, error);
    if (!(error instanceof ProtocolFault)) {
      events.failed?.({ device: this.identity.id }, error, 'could not handle a packet');
      this.close('internal');
      return;
    }
    const { code, message } = error;
    if (!this.closed && this.session !== undefined) {
      events.protocolViolated?.(this.identity, code, message);
    }
    this.#closeWithDetail(code, message);
  }

  /**
   * Closes in order: the session is released, waiting packets are written, the stream ends.
   *
   * @param disconnect the last packet
   * @param afterCommit whether the packets that wait for a commit are sent before the end
   */
  #end(disconnect?: Buffer, afterCommit = false): void {
    if (this.closed) return;
    this.closed = true;
    this.#ending = { disconnect, untilMs: this.context.clock.monotonicMs() + endingMaxMs };
    this.#release();
    this.flush();
    if (!afterCommit || !this.#gate.isWaiting) this.#finish();
  }

  /** Sends the last packet and ends the stream. */
  #finish(): void {
    const disconnect = this.#ending?.disconnect;
    this.#ending = undefined;
    this.#gate.discardUnconfirmed();
    // The first packet must be CONNACK.
    if (disconnect !== undefined && this.#gate.isOpen) this.send(disconnect);
    this.flush();
    this.#writer.end(this.#closeCode === 'outbound-too-slow');
  }

  onClosed(): void {
    if (!this.closed) {
      this.#closeCode = 'connection-lost';
      this.closed = true;
      this.#release();
    }
    this.#gate.discardUnconfirmed();
    this.#writer.clear();
    this.topicCache?.release();
    this.host.connectionClosed(this);
    this.#onEnd?.();
    this.#onEnd = undefined;
  }

  #willFate(code: ErrorCode | undefined): WillFate {
    if (this.#closedCleanly || (code !== undefined && willSuppressingCodes.has(code))) {
      return 'discard';
    }
    return code === 'server-shutting-down' ? 'wait' : 'publish';
  }

  /** Called once, when the connection closes. */
  #release(): void {
    this.reader.clear();
    const { session } = this;
    if (session === undefined) return;
    const code = this.#closeCode;
    if (session.owner === this) this.host.releaseSession(session, this.#willFate(code));
    const other = this.host
      .connectionsOf(this.identity.id)
      .find((one) => one !== this && one.clientId !== undefined);
    this.context.events.disconnected(this, this.#closedCleanly ? undefined : code, other);
  }
}
