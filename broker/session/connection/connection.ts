/**
 * One connection: reads packets off its stream, is owed packets, and ends.
 *
 * What to do with a packet stands in handlers/, one file a packet type; what leaves when, and behind
 * what, in `departures.ts` and `flusher.ts`; how it gets out in `outflow.ts`. Here stands what every
 * packet has in common: limits, pausing, closing.
 *
 * @module
 */
import type { Duplex } from 'node:stream';
import type { Cancel } from '../../../core/clock.ts';
import { catalogue, type ErrorCode } from '../../../core/errors/catalogue.ts';
import type { Identity } from '../../contracts/identity.ts';
import type { Connection } from '../../contracts/session-layer.ts';
import { willSuppressingCodes } from './will-suppression.ts';
import type { Qos } from '../../store/session-store.ts';
import type { OutboundAliases } from '../delivery/topic-aliases.ts';
import { deliveryBytes, fitsClient, type DeliveryTarget } from '../delivery/delivery-bytes.ts';
import { CommitGate } from './commit-gate.ts';
import type { Publisher } from '../state/publisher.ts';
import type { FlushTarget, WriteScheduler } from './write-scheduler.ts';
import type { Message } from '../delivery/message.ts';
import type { WriteBatch } from '../output/write-batch.ts';
import { ConnectionWriter, type WriterOwner } from './connection-writer.ts';
import type { Pending } from '../delivery/outbound-queue.ts';
import { rateLimitOf, type RateLimit } from './rate-limit.ts';
import { runForwardHook } from '../plugins/plugin-forward.ts';
import type { SessionContext } from '../state/context.ts';
import type { SessionOwner, Session } from '../state/session.ts';
import type { SessionRegistry } from '../state/session-registry.ts';
import type { TopicCache } from './topic-cache.ts';
import {
  packetFirstByte,
  acknowledgementTemplate,
  acknowledgementWithReason,
} from '../wire/acknowledgement.ts';
import { disconnect } from '../wire/answers.ts';
import { ProtocolFault } from '../wire/fault.ts';
import { Framer } from '../wire/framer.ts';
import { reasonOf } from '../wire/reasons.ts';

/** Takes one whole packet of a client; throws a ProtocolFault to end the connection. */
export type Dispatch = (
  client: ClientConnection,
  bytes: Buffer,
  start: number,
  body: number,
  end: number,
) => void;

/** What connections share beside the {@link SessionContext}. */
export interface ConnectionHost {
  readonly context: SessionContext;
  readonly publisher: Publisher;
  readonly sessions: SessionRegistry;
  readonly scheduler: WriteScheduler;
  readonly dispatch: Dispatch;
  /** Told when a connection came through CONNECT, and when it is gone. */
  connectionAccepted(client: ClientConnection): void;
  connectionClosed(client: ClientConnection): void;
  /** Connections of one identity that came through CONNECT. */
  connectionsOf(id: string): readonly Connection[];
}

/** Why reading is paused; several can hold at a time. */
export const pauseReasons = { rateLimit: 1, store: 2, outbound: 4, plugIn: 8 } as const;

/** How long a stream that was ended may take to say goodbye, in ms. */
const lingerMs = 1000;
/** What gathers for one connection in a turn before it is written. */
const batchMaxBytes = 256 * 1024;

export class ClientConnection
  implements Connection, SessionOwner, FlushTarget, WriterOwner, DeliveryTarget
{
  readonly identity: Identity;
  readonly connectedAtMs: number;
  readonly host: ConnectionHost;
  readonly stream: Duplex;
  clientId: string | undefined = undefined;
  protocolVersion: 3 | 4 | 5 | undefined = undefined;
  /** Whether it speaks 5.0. */
  isMqtt5 = false;
  session: Session | undefined = undefined;
  closed = false;
  /** 1.5 keep alives, in ms; 0: no limit [MQTT-3.1.2-22]. */
  keepAliveTimeoutMs = 0;
  /** What the client takes, in bytes; 0: anything [MQTT-3.1.2-24]. */
  packetOutMaxBytes = 0;
  /** Whether reason strings may be sent with anything but CONNACK and DISCONNECT [MQTT-3.1.2-29]. */
  problemInformation = true;
  /** Session expiry that CONNECT asked for: DISCONNECT may not raise it from 0. */
  requestedExpirySeconds = 0;
  /** Topic aliases that the client set. */
  inboundAliases: (string | undefined)[] | undefined = undefined;
  outboundAliases: OutboundAliases | undefined = undefined;
  topicCache: TopicCache | undefined = undefined;
  rateLimit: RateLimit | undefined = undefined;
  /** How many QoS 1 and 2 publishes it may have unacknowledged [MQTT-3.3.4-7]. */
  receiveMaximum = 65_535;
  readonly #framer: Framer;
  readonly #gate: CommitGate;
  readonly #writer: ConnectionWriter;
  #pauses = 0;
  #active = false;
  #lastActiveMs: number;
  #closeCode: ErrorCode | undefined = undefined;
  #cleanEnd = false;
  #released = false;
  #lingerUntilMs = 0;
  #cancelPace: Cancel | undefined = undefined;

  constructor(host: ConnectionHost, stream: Duplex, identity: Identity) {
    const { clock, limits } = host.context;
    this.host = host;
    this.stream = stream;
    this.identity = identity;
    this.connectedAtMs = clock.now();
    this.#lastActiveMs = clock.monotonicMs();
    this.#framer = new Framer(limits.connectPacketMaxBytes, (bytes, start, body, end) => {
      host.dispatch(this, bytes, start, body, end);
      return this.#pauses === 0 && !this.closed;
    });
    this.#framer.firstByte = 0x10;
    this.#gate = new CommitGate(this, host);
    this.#writer = new ConnectionWriter(this, stream, host.context);
    stream.on('data', (chunk: Buffer) => this.#read(chunk));
    const lost = (): void => this.#lost();
    stream.on('end', lost);
    stream.on('error', lost);
    stream.on('close', lost);
  }

  // ---- what plug-ins of Aedes read ----

  get id(): string {
    return this.clientId ?? '';
  }

  get version(): number {
    return this.protocolVersion ?? 0;
  }

  // ---- what handlers use ----

  /** QoS 1 publishes that are not acknowledged yet, because the store did not commit. */
  get pubacksPending(): number {
    return this.#gate.pubacksPending;
  }

  /** CONNECT was accepted: packets may have their full size now. */
  open(session: Session, version: 3 | 4 | 5): void {
    this.session = session;
    this.clientId = session.clientId;
    this.setVersion(version);
    this.#framer.firstByte = 0;
    this.#framer.packetMaxBytes = this.host.context.limits.packetMaxBytes;
  }

  setVersion(version: 3 | 4 | 5): void {
    this.protocolVersion = version;
    this.isMqtt5 = version === 5;
    this.#framer.shortestLength = this.isMqtt5;
  }

  /** Holds the client to the rates of its identity. */
  setRateLimit(): void {
    const { authorizer, clock } = this.host.context;
    this.rateLimit = rateLimitOf(authorizer.limits(this.identity), clock.monotonicMs());
  }

  /** Sends bytes as they are, in this turn. Before CONNACK left they stand behind it. */
  send(bytes: Buffer, start = 0, end = bytes.length): void {
    this.#gate.batchFor(false).add(bytes, start, end);
  }

  /**
   * SUBACK and UNSUBACK: once the store committed what this turn put in it for a session that is
   * kept; at once for others.
   */
  sendAfterCommit(bytes: Buffer): void {
    if (fitsClient(this, bytes.length)) {
      this.#gate.orderedBatchFor(this.session?.kept === true).add(bytes, 0, bytes.length);
    } else this.close('packet-too-large');
  }

  /**
   * CONNACK: nothing leaves before it. A client that cannot take it cannot stay [MQTT-3.1.2-24].
   *
   * @param stored whether session or will were put in the store
   */
  sendConnack(bytes: Buffer, stored: boolean): void {
    if (fitsClient(this, bytes.length)) this.#gate.connackBatch(stored).add(bytes, 0, bytes.length);
    else this.close('packet-too-large');
  }

  /**
   * PUBACK, PUBREC or PUBCOMP, in the order in which they are given [MQTT-4.6.0-2]. `gated`:
   * something waits for the store.
   */
  acknowledge(type: number, packetId: number, reasonCode: number, gated: boolean): void {
    const departures = this.#gate;
    const batch =
      type === packetFirstByte.puback
        ? departures.pubackBatchFor(gated)
        : departures.orderedBatchFor(gated);
    if (reasonCode === 0 || !this.isMqtt5) {
      batch.addPatched(acknowledgementTemplate, 0, 4, 2, type, packetId);
    } else {
      batch.add(acknowledgementWithReason(type, packetId, reasonCode), 0, 5);
    }
  }

  pause(reason: number): void {
    if (this.closed) return;
    this.#pauses |= reason;
    this.stream.pause();
  }

  resume(reason: number): void {
    if ((this.#pauses & reason) === 0) return;
    this.#pauses &= ~reason;
    if (this.#pauses !== 0 || this.closed) return;
    this.#guarded(() => this.#framer.resume());
    // Packets that were waiting may have paused it again.
    if (!this.isPaused && this.#isOpen()) this.stream.resume();
  }

  /** Goes on with a packet that waited, as if it had come now, then with what stands behind it. */
  resumeWith(reason: number, run: () => void): void {
    if (this.closed) return;
    this.#guarded(run);
    this.resume(reason);
  }

  get isPaused(): boolean {
    return this.#pauses !== 0;
  }

  /** Stops reading for a while: the identity's rate is used up. */
  pauseFor(ms: number): void {
    if (this.#cancelPace !== undefined || this.closed) return;
    this.pause(pauseReasons.rateLimit);
    this.#cancelPace = this.host.context.clock.after(ms, () => {
      this.#cancelPace = undefined;
      this.resume(pauseReasons.rateLimit);
    });
  }

  /** The client said DISCONNECT; `code` when it asked for its will. */
  endByClient(code: ErrorCode | undefined): void {
    this.#closeCode = code;
    this.#cleanEnd = code === undefined;
    this.#end();
  }

  // ---- Outlet ----

  get hasRoom(): boolean {
    if (this.closed) return false;
    const { outboundPerConnectionMaxBytes } = this.host.context.limits;
    return this.#writer.bytes + this.#gate.bytes < outboundPerConnectionMaxBytes;
  }

  sendQos0(given: Message, retain: boolean, identifiers: readonly number[]): void {
    if (this.closed) return;
    const message = this.#forwarded(given, 0, retain);
    if (message === undefined) return this.#dropped('not-allowed');
    if (!this.hasRoom) {
      this.#dropped('outbound-full');
      return;
    }
    const encoded = deliveryBytes(this, message, false, identifiers, this.host.context.clock);
    if (encoded === undefined) {
      this.#dropped('too-large');
      return;
    }
    this.host.context.counters.messagesOut[0]++;
    const batch = this.#gate.batchFor(false);
    if (retain) batch.addPatched(encoded.bytes, encoded.start, encoded.end, 0, 0x31, 0);
    else batch.add(encoded.bytes, encoded.start, encoded.end);
    // So much in one turn is written before its end: else it would look like a slow reader.
    if (batch.bytes > batchMaxBytes) this.flush();
  }

  sendWithPacketId(
    delivery: Pending,
    packetId: number,
    afterCommit: boolean,
  ): 'too-large' | 'not-allowed' | undefined {
    const { qos, retain, identifiers } = delivery;
    const message = this.#forwarded(delivery.message, qos, retain);
    if (message === undefined) return 'not-allowed';
    const encoded = deliveryBytes(this, message, true, identifiers, this.host.context.clock);
    if (encoded === undefined) return 'too-large';
    this.host.context.counters.messagesOut[qos]++;
    const header = 0x30 | (qos << 1) | (retain ? 1 : 0) | (delivery.packetId === 0 ? 0 : 8);
    const batch = this.#gate.batchFor(afterCommit);
    batch.addPatched(encoded.bytes, encoded.start, encoded.end, encoded.idAt, header, packetId);
    return undefined;
  }

  sendRelease(packetId: number, afterCommit: boolean): void {
    if (this.closed) return;
    const batch = this.#gate.batchFor(afterCommit);
    batch.addPatched(acknowledgementTemplate, 0, 4, 2, packetFirstByte.pubrel, packetId);
  }

  // ---- Connection ----

  reauthorize(): void {
    this.topicCache = undefined;
    if (this.session === undefined) return;
    this.setRateLimit();
    this.host.sessions.reauthorize(this.session);
  }

  close(code: ErrorCode): void {
    this.closeWithDetail(code, undefined);
  }

  /** Ends the connection with a reason, and, for 5.0, words. */
  closeWithDetail(code: ErrorCode, detail: string | undefined): void {
    if (this.closed) return;
    this.#closeCode = code;
    // A code without one for MQTT 5.0 is of the network: there is nobody to tell.
    const told = catalogue[code].mqtt5;
    if (this.session !== undefined && this.isMqtt5 && told !== undefined && told >= 0x80) {
      const reason = reasonOf(code, 'disconnect');
      const bytes = disconnect(reason, detail);
      // [MQTT-3.14.2-3]: the words go before the packet is too large for the client.
      this.send(fitsClient(this, bytes.length) ? bytes : disconnect(reason, undefined));
    }
    this.#end();
  }

  /** Refuses a CONNECT: the answer leaves, the stream ends. */
  rejectConnect(connack: Buffer | undefined): void {
    if (connack !== undefined) {
      this.#gate.open();
      this.send(connack);
    }
    this.#end();
  }

  // ---- Flushable ----

  flush(): void {
    const batch = this.#gate.take();
    if (batch === undefined) return;
    this.#writer.write(batch);
    this.host.context.batches.release(batch);
  }

  takeAwaitingCommit(): WriteBatch | undefined {
    return this.#gate.takeAwaitingCommit();
  }

  onCommit(batch: WriteBatch, failed: boolean): void {
    this.#gate.release(batch, !failed && !this.closed);
    // Nothing may be acknowledged any more.
    if (failed) this.close('store-write-failed');
    else this.resume(pauseReasons.store);
  }

  // ---- OutflowOwner ----

  get needsRoomNotice(): boolean {
    return (
      (this.#pauses & pauseReasons.outbound) !== 0 || this.session?.outbound.hasWaiting === true
    );
  }

  onRoom(): void {
    if (!this.hasRoom) return;
    this.resume(pauseReasons.outbound);
    this.session?.outbound.pump();
  }

  // ---- time ----

  /** Looks after silence and stalls; called every half second or so. */
  sweep(nowMs: number): void {
    if (this.closed) {
      if (nowMs >= this.#lingerUntilMs) this.stream.destroy();
      return;
    }
    if (this.#active || this.isPaused) {
      this.#active = false;
      this.#lastActiveMs = nowMs;
    }
    const silentMs = nowMs - this.#lastActiveMs;
    if (this.session === undefined) {
      // The time for CONNECT runs from the connection, whatever trickles in.
      const ageMs = this.host.context.clock.now() - this.connectedAtMs;
      if (ageMs >= this.host.context.limits.connectTimeoutMs) {
        this.host.context.events.refused(this.identity, 'connect-timeout', '');
        this.close('connect-timeout');
      }
    } else if (this.keepAliveTimeoutMs > 0 && silentMs >= this.keepAliveTimeoutMs) {
      const { hooks } = this.host.context;
      if (hooks.hasListeners.keepaliveTimeout) hooks.emit('keepaliveTimeout', hooks.clientOf(this));
      this.close('keep-alive-timeout');
    }
    this.#writer.sweep(nowMs);
  }

  // ---- inside ----

  #read(chunk: Buffer): void {
    if (this.closed) return;
    this.#active = true;
    this.host.context.counters.bytesIn += chunk.length;
    this.#guarded(() => this.#framer.push(chunk));
    const waitMs = this.rateLimit?.bytes(chunk.length, this.host.context.clock.monotonicMs()) ?? 0;
    if (waitMs > 0) this.pauseFor(waitMs);
    // Who does not read its acknowledgements gets no more read from it.
    if (this.#isOpen() && !this.hasRoom) this.pause(pauseReasons.outbound);
  }

  /** Asked anew: handlers that ran in between may have closed it. */
  #isOpen(): boolean {
    return !this.closed;
  }

  #guarded(run: () => void): void {
    try {
      run();
    } catch (error) {
      if (error instanceof Error && !this.closed) this.host.context.hooks.reportError(this, error);
      if (!(error instanceof ProtocolFault)) {
        this.host.context.log.error({ err: error, device: this.identity.id }, 'a packet failed');
        this.close('internal');
        return;
      }
      const { events } = this.host.context;
      if (!this.closed) {
        if (this.session === undefined) events.refused(this.identity, error.code, error.message);
        else events.protocolViolated?.(this.identity, error.code, error.message);
      }
      this.closeWithDetail(error.code, this.problemInformation ? error.message : undefined);
    }
  }

  /** What a plug-in lets through to this client; undefined: nothing. */
  #forwarded(message: Message, qos: Qos, retain: boolean): Message | undefined {
    const { context } = this.host;
    return context.hooks.authorizeForward === undefined
      ? message
      : runForwardHook(context, this, message, qos, retain);
  }

  #dropped(reason: 'outbound-full' | 'too-large' | 'not-allowed'): void {
    this.host.context.events.dropped(this.identity, reason, 1);
  }

  /** Ends in order: the session is given back, what is owed leaves, the stream ends. */
  #end(): void {
    if (this.closed) return;
    this.closed = true;
    this.#framer.clear();
    this.#cancelPace?.();
    this.#cancelPace = undefined;
    this.#lingerUntilMs = this.host.context.clock.monotonicMs() + lingerMs;
    this.#release();
    this.flush();
    if (this.stream.destroyed) return;
    // What the client still sends is read and thrown away, so that its end is seen.
    this.stream.resume();
    this.#writer.end(this.#closeCode === 'outbound-too-slow');
  }

  /** The stream ended or failed. */
  #lost(): void {
    if (!this.closed) {
      this.#closeCode = 'connection-lost';
      this.closed = true;
      this.#framer.clear();
      this.#cancelPace?.();
      this.#cancelPace = undefined;
      this.#release();
    }
    if (!this.stream.destroyed) this.stream.destroy();
    this.#writer.clear();
    this.host.connectionClosed(this);
  }

  #release(): void {
    if (this.#released) return;
    this.#released = true;
    const { session } = this;
    const code = this.#closeCode;
    if (session === undefined) return;
    const silenced = code !== undefined && willSuppressingCodes.has(code);
    if (session.owner === this) {
      this.host.sessions.release(session, !this.#cleanEnd && !silenced);
    }
    this.host.context.events.disconnected(this, this.#cleanEnd ? undefined : code);
  }
}
