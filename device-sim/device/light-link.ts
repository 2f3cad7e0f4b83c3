/**
 * A small MQTT client for fleets of tens of thousands of devices, which one machine cannot carry with
 * a complete client library per device. It behaves like a complete client on the wire.
 *
 * @module
 */
import type { Packet } from 'mqtt-packet';
import { dial, failureOf, type Dialed, type DialOptions, type Failure } from './dial.ts';
import { keepAliveTimer } from './keep-alive.ts';
import {
  connackReason,
  LinkError,
  type Connected,
  type LinkCallback,
  type Link,
  type LinkEvents,
  type LinkOptions,
} from './link.ts';
import {
  connectPacket,
  frameBytes,
  decodePacket,
  decodePublish,
  encodeAck,
  encodePacket,
  encodePublish,
} from './packets.ts';

interface Outgoing {
  readonly topic: string;
  readonly payload: string;
  readonly qos: 1 | 2;
  readonly retain: boolean;
  readonly done: LinkCallback;
  released: boolean;
}

interface PendingReply {
  readonly resolve: (code: number) => void;
  readonly reject: (error: Error) => void;
}

interface Attempt {
  readonly timer: NodeJS.Timeout;
  resolve(connected: Connected): void;
  reject(error: Error): void;
}

/** Shared by idle links: ten thousand empty maps take megabytes. Never written to. */
const emptyMap = new Map<number, never>();

export class LightLink implements Link {
  readonly #options: LinkOptions;
  readonly #events: LinkEvents;
  readonly #mqtt5: boolean;
  #dialed: Dialed | undefined;
  #attempt: Attempt | undefined;
  #online = false;
  #failure: Failure | undefined;
  #partial: Buffer | undefined;
  #outgoing: Map<number, Outgoing> = emptyMap;
  #subscribes: Map<number, PendingReply> = emptyMap;
  /** Ids of QoS 2 messages that were received and not yet released [MQTT-4.3.3-2]. */
  #received: Set<number> | undefined;
  #lastId = 0;
  #lastSentMs = 0;
  #pingSentMs: number | undefined;

  constructor(options: LinkOptions, events: LinkEvents) {
    this.#options = options;
    this.#events = events;
    this.#mqtt5 = options.mqtt === '5.0';
  }

  get online(): boolean {
    return this.#online;
  }

  get inflight(): number {
    return this.#outgoing.size;
  }

  connect(options: DialOptions): Promise<Connected> {
    return new Promise((resolve, reject) => {
      const { connectTimeoutMs } = this.#options;
      this.#failure = undefined;
      this.#partial = undefined;
      this.#pingSentMs = undefined;
      const timer = setTimeout(() => {
        this.#failure = { reason: 'timeout', detail: `no CONNACK within ${connectTimeoutMs} ms` };
        this.#dialed?.socket.destroy();
      }, connectTimeoutMs);
      this.#attempt = { timer, resolve, reject };
      const dialed = dial(options);
      this.#dialed = dialed;
      const { socket } = dialed;
      socket.once('secureConnect', () => this.#sendPacket(connectPacket(this.#options)));
      socket.on('data', (chunk: Buffer) => this.#receive(chunk));
      socket.on('error', (error) => {
        this.#failure ??= failureOf(error, dialed.timing.secureMs !== undefined);
      });
      socket.once('close', () => this.#handleClose(dialed));
    });
  }

  publish(
    topic: string,
    payload: string,
    qos: 0 | 1 | 2,
    retain: boolean,
    done: LinkCallback,
  ): void {
    if (qos === 0) {
      if (this.#online) this.#send(encodePublish(topic, payload, 0, retain, false, 0, this.#mqtt5));
      done(this.#online ? undefined : 'offline');
      return;
    }
    if (!this.#online && !this.#options.kept) {
      done('offline');
      return;
    }
    const id = this.#freeId();
    if (id === 0) {
      done('ids-exhausted');
      return;
    }
    if (this.#outgoing === emptyMap) this.#outgoing = new Map();
    this.#outgoing.set(id, { topic, payload, qos, retain, done, released: false });
    if (this.#online)
      this.#send(encodePublish(topic, payload, qos, retain, false, id, this.#mqtt5));
  }

  subscribe(filter: string, qos: 0 | 1 | 2): Promise<number> {
    if (!this.#online) return Promise.reject(new LinkError({ reason: 'offline', detail: filter }));
    return new Promise((resolve, reject) => {
      const messageId = this.#freeId();
      this.#awaitReply(messageId, { resolve, reject });
      this.#sendPacket({ cmd: 'subscribe', messageId, subscriptions: [{ topic: filter, qos }] });
    });
  }

  unsubscribe(filter: string): Promise<void> {
    if (!this.#online) return Promise.resolve();
    return new Promise((resolve) => {
      const messageId = this.#freeId();
      this.#awaitReply(messageId, { resolve: () => resolve(), reject: () => resolve() });
      this.#sendPacket({ cmd: 'unsubscribe', messageId, unsubscriptions: [filter] });
    });
  }

  async end(): Promise<void> {
    const socket = this.#dialed?.socket;
    if (socket === undefined || socket.destroyed) return;
    this.#failure ??= { reason: 'ended', detail: 'disconnected by the device' };
    if (this.#online) this.#sendPacket({ cmd: 'disconnect' });
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => socket.destroy(), 2000);
      socket.once('close', () => {
        clearTimeout(timer);
        resolve();
      });
      socket.end();
    });
  }

  destroy(): void {
    this.#dialed?.socket.destroy();
  }

  pauseReading(paused: boolean): void {
    if (paused) this.#dialed?.socket.pause();
    else this.#dialed?.socket.resume();
  }

  /** Sends a PINGREQ when it is due; called twice a second while the link is online. */
  tick(nowMs: number): void {
    const keepAliveMs = this.#options.keepAliveSeconds * 1000;
    if (!this.#online || keepAliveMs === 0) return;
    if (this.#pingSentMs !== undefined) {
      if (nowMs - this.#pingSentMs > keepAliveMs) {
        this.#failure = { reason: 'keep-alive', detail: 'no PINGRESP within the keep-alive time' };
        this.destroy();
      }
    } else if (nowMs - this.#lastSentMs > keepAliveMs * 0.75) {
      this.#sendPacket({ cmd: 'pingreq' });
      this.#pingSentMs = nowMs;
    }
  }

  #receive(chunk: Buffer): void {
    const socket = this.#dialed?.socket;
    if (socket === undefined) return;
    const bytes = this.#partial === undefined ? chunk : Buffer.concat([this.#partial, chunk]);
    this.#partial = undefined;
    // Write all replies to this chunk in one TLS record.
    socket.cork();
    let at = 0;
    while (at < bytes.length) {
      const length = frameBytes(bytes, at);
      if (length < 0) {
        this.#failure = {
          reason: 'malformed',
          detail: 'the broker sent a packet with a malformed length',
        };
        socket.destroy();
        return;
      }
      if (length === 0 || at + length > bytes.length) break;
      this.#handleFrame(bytes.subarray(at, at + length));
      at += length;
    }
    if (at < bytes.length) this.#partial = at === 0 ? bytes : Buffer.from(bytes.subarray(at));
    socket.uncork();
  }

  #handleFrame(frame: Buffer): void {
    const kind = (frame[0] ?? 0) >> 4;
    if (kind === 3) this.#handlePublish(frame);
    else if (kind >= 4 && kind <= 7) this.#handleAck(kind, frame);
    else {
      const packet = decodePacket(frame, this.#mqtt5);
      if (packet === undefined) this.#failMalformed();
      else this.#handlePacket(packet);
    }
  }

  #handlePublish(frame: Buffer): void {
    const publish = decodePublish(frame, this.#mqtt5);
    if (publish === undefined) {
      this.#failMalformed();
      return;
    }
    const { topic, payload, qos, retain, messageId } = publish;
    if (qos === 2) {
      this.#received ??= new Set();
      const again = this.#received.has(messageId);
      this.#received.add(messageId);
      this.#send(encodeAck(5, messageId));
      if (again) return;
    }
    if (qos === 1) this.#send(encodeAck(4, messageId));
    this.#events.message(topic, payload, qos, retain);
  }

  #handleAck(kind: number, frame: Buffer): void {
    if (frame.length < 4) {
      this.#failMalformed();
      return;
    }
    const id = frame.readUInt16BE(2);
    const code = this.#mqtt5 && frame.length > 4 ? (frame[4] ?? 0) : 0;
    if (kind === 6) {
      this.#received?.delete(id);
      this.#send(encodeAck(7, id));
      return;
    }
    const outgoing = this.#outgoing.get(id);
    if (outgoing === undefined) return;
    if (code < 0x80 && kind === 5) {
      outgoing.released = true;
      this.#send(encodeAck(6, id));
      return;
    }
    this.#outgoing.delete(id);
    // An idle device holds no map of its own.
    if (this.#outgoing.size === 0) this.#outgoing = emptyMap;
    outgoing.done(code >= 0x80 ? `puback-0x${code.toString(16)}` : undefined);
  }

  #handlePacket(packet: Packet): void {
    switch (packet.cmd) {
      case 'connack':
        this.#handleConnack(packet.returnCode ?? packet.reasonCode ?? 0, packet.sessionPresent);
        return;
      case 'suback': {
        const [code] = packet.granted;
        this.#takeReply(packet.messageId)?.resolve(typeof code === 'number' ? code : 0x80);
        return;
      }
      case 'unsuback':
        this.#takeReply(packet.messageId)?.resolve(0);
        return;
      case 'pingresp':
        this.#pingSentMs = undefined;
        return;
      case 'disconnect': {
        const code = packet.reasonCode ?? 0;
        this.#failure = {
          reason: `disconnect-0x${code.toString(16).padStart(2, '0')}`,
          detail: packet.properties?.reasonString ?? 'DISCONNECT from the broker',
        };
        return;
      }
      default:
        return;
    }
  }

  #awaitReply(messageId: number, reply: PendingReply): void {
    if (this.#subscribes === emptyMap) this.#subscribes = new Map();
    this.#subscribes.set(messageId, reply);
  }

  #takeReply(messageId = 0): PendingReply | undefined {
    const reply = this.#subscribes.get(messageId);
    this.#subscribes.delete(messageId);
    return reply;
  }

  #handleConnack(code: number, sessionPresent: boolean): void {
    const attempt = this.#attempt;
    const dialed = this.#dialed;
    if (attempt === undefined || dialed === undefined) return;
    if (code !== 0) {
      this.#failure = { reason: connackReason(code), detail: `CONNACK ${code}` };
      this.destroy();
      return;
    }
    this.#attempt = undefined;
    clearTimeout(attempt.timer);
    this.#online = true;
    keepAliveTimer.add(this);
    if (!sessionPresent) this.#received = undefined;
    this.#resend();
    attempt.resolve({ timing: dialed.timing, connackMs: performance.now(), sessionPresent });
  }

  /** Sends unacknowledged PUBLISH and PUBREL packets again, in order, with their ids [MQTT-4.4.0-1]. */
  #resend(): void {
    for (const [id, { topic, payload, qos, retain, released }] of this.#outgoing) {
      this.#send(
        released
          ? encodeAck(6, id)
          : encodePublish(topic, payload, qos, retain, true, id, this.#mqtt5),
      );
    }
  }

  #handleClose(dialed: Dialed): void {
    if (dialed !== this.#dialed) return;
    const attempt = this.#attempt;
    this.#attempt = undefined;
    const wasOnline = this.#online;
    this.#online = false;
    keepAliveTimer.remove(this);
    for (const waiting of this.#subscribes.values()) {
      waiting.reject(
        new LinkError({ reason: 'closed', detail: 'the connection ended before SUBACK' }),
      );
    }
    this.#subscribes = emptyMap;
    if (!this.#options.kept) {
      const outgoing = this.#outgoing;
      this.#outgoing = emptyMap;
      this.#received = undefined;
      for (const { done } of outgoing.values()) done('closed');
    }
    if (attempt !== undefined) {
      clearTimeout(attempt.timer);
      const secured = dialed.timing.secureMs !== undefined;
      attempt.reject(
        new LinkError(
          this.#failure ?? {
            reason: secured ? 'closed-before-connack' : 'tls-closed',
            detail: 'the broker closed the connection',
          },
          dialed.timing.resumed,
        ),
      );
    }
    this.#dialed = undefined;
    if (wasOnline) {
      this.#events.closed(this.#failure ?? { reason: 'closed', detail: 'the connection ended' });
    }
  }

  #failMalformed(): void {
    this.#failure = {
      reason: 'malformed',
      detail: 'the broker sent a packet that cannot be decoded',
    };
    this.destroy();
  }

  #freeId(): number {
    if (this.#outgoing.size + this.#subscribes.size >= 65_535) return 0;
    do this.#lastId = this.#lastId === 65_535 ? 1 : this.#lastId + 1;
    while (this.#outgoing.has(this.#lastId) || this.#subscribes.has(this.#lastId));
    return this.#lastId;
  }

  #sendPacket(packet: Packet): void {
    this.#send(encodePacket(packet, this.#mqtt5));
  }

  #send(frame: Buffer): void {
    this.#lastSentMs = performance.now();
    this.#dialed?.socket.write(frame);
  }
}
