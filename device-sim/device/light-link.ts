/**
 * A link that keeps the behaviour of an MQTT client and nothing else: for the tens of thousands of
 * devices that one machine cannot carry with a full client each.
 *
 * @module
 */
import { dial, failureOf, type Dialed, type DialOptions, type Failure } from './dial.ts';
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
  frameBytes,
  readPacket,
  readPublish,
  writeAck,
  writePacket,
  writePublish,
  type Packet,
} from './packets.ts';

interface Outgoing {
  readonly topic: string;
  readonly payload: string;
  readonly qos: 1 | 2;
  readonly retain: boolean;
  readonly done: LinkCallback;
  released: boolean;
}

interface Waiting {
  readonly resolve: (code: number) => void;
  readonly reject: (error: Error) => void;
}

interface Attempt {
  readonly timer: NodeJS.Timeout;
  resolve(connected: Connected): void;
  reject(error: Error): void;
}

const nothing = new Map<number, never>();

export class LightLink implements Link {
  readonly #options: LinkOptions;
  readonly #events: LinkEvents;
  readonly #five: boolean;
  #dialed: Dialed | undefined;
  #attempt: Attempt | undefined;
  #online = false;
  #failure: Failure | undefined;
  #rest: Buffer | undefined;
  #outgoing: Map<number, Outgoing> = nothing;
  #subscribes: Map<number, Waiting> = nothing;
  /** Ids of QoS 2 messages that were received and not yet released [MQTT-4.3.3-2]. */
  #received: Set<number> | undefined;
  #lastId = 0;
  #lastSentMs = 0;
  #pingSentMs: number | undefined;

  constructor(options: LinkOptions, events: LinkEvents) {
    this.#options = options;
    this.#events = events;
    this.#five = options.mqtt === '5.0';
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
      this.#rest = undefined;
      this.#pingSentMs = undefined;
      const timer = setTimeout(() => {
        this.#failure = { reason: 'timeout', detail: `no CONNACK within ${connectTimeoutMs} ms` };
        this.#dialed?.socket.destroy();
      }, connectTimeoutMs);
      this.#attempt = { timer, resolve, reject };
      const dialed = dial(options);
      this.#dialed = dialed;
      const { socket } = dialed;
      socket.once('secureConnect', () => this.#sayHello());
      socket.on('data', (chunk: Buffer) => this.#take(chunk));
      socket.on('error', (error) => {
        this.#failure ??= failureOf(error, dialed.timing.secureMs !== undefined);
      });
      socket.once('close', () => this.#ended(dialed));
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
      if (this.#online) this.#send(writePublish(topic, payload, 0, retain, false, 0, this.#five));
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
    if (this.#outgoing === nothing) this.#outgoing = new Map();
    this.#outgoing.set(id, { topic, payload, qos, retain, done, released: false });
    if (this.#online) this.#send(writePublish(topic, payload, qos, retain, false, id, this.#five));
  }

  subscribe(filter: string, qos: 0 | 1 | 2): Promise<number> {
    if (!this.#online) return Promise.reject(new LinkError({ reason: 'offline', detail: filter }));
    return new Promise((resolve, reject) => {
      const messageId = this.#freeId();
      if (this.#subscribes === nothing) this.#subscribes = new Map();
      this.#subscribes.set(messageId, { resolve, reject });
      this.#sendPacket({ cmd: 'subscribe', messageId, subscriptions: [{ topic: filter, qos }] });
    });
  }

  unsubscribe(filter: string): Promise<void> {
    if (!this.#online) return Promise.resolve();
    return new Promise((resolve) => {
      const messageId = this.#freeId();
      if (this.#subscribes === nothing) this.#subscribes = new Map();
      this.#subscribes.set(messageId, { resolve: () => resolve(), reject: () => resolve() });
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

  /** Called about once a second by {@link tickLinks}. */
  tick(nowMs: number): void {
    const keepAliveMs = this.#options.keepAliveSeconds * 1000;
    if (!this.#online || keepAliveMs === 0) return;
    if (this.#pingSentMs !== undefined) {
      if (nowMs - this.#pingSentMs > keepAliveMs) {
        this.#failure = { reason: 'keep-alive', detail: 'no PINGRESP in time' };
        this.destroy();
      }
    } else if (nowMs - this.#lastSentMs > keepAliveMs * 0.75) {
      this.#sendPacket({ cmd: 'pingreq' });
      this.#pingSentMs = nowMs;
    }
  }

  #sayHello(): void {
    const { clientId, kept, keepAliveSeconds, sessionExpirySeconds } = this.#options;
    this.#sendPacket({
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion: this.#five ? 5 : 4,
      clientId,
      clean: !kept,
      keepalive: keepAliveSeconds,
      ...(this.#five && kept
        ? { properties: { sessionExpiryInterval: sessionExpirySeconds } }
        : {}),
    });
  }

  #take(chunk: Buffer): void {
    const socket = this.#dialed?.socket;
    if (socket === undefined) return;
    const bytes = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk]);
    this.#rest = undefined;
    // Everything that this chunk makes us say leaves in one record.
    socket.cork();
    let at = 0;
    while (at < bytes.length) {
      const length = frameBytes(bytes, at);
      if (length < 0) {
        this.#failure = { reason: 'malformed', detail: 'a packet of the broker has a bad length' };
        socket.destroy();
        return;
      }
      if (length === 0 || at + length > bytes.length) break;
      this.#frame(bytes.subarray(at, at + length));
      at += length;
    }
    if (at < bytes.length) this.#rest = at === 0 ? bytes : Buffer.from(bytes.subarray(at));
    socket.uncork();
  }

  #frame(frame: Buffer): void {
    const kind = (frame[0] ?? 0) >> 4;
    if (kind === 3) this.#published(frame);
    else if (kind >= 4 && kind <= 7) this.#acknowledged(kind, frame);
    else {
      const packet = readPacket(frame, this.#five);
      if (packet === undefined) this.#malformed();
      else this.#other(packet);
    }
  }

  #published(frame: Buffer): void {
    const publish = readPublish(frame, this.#five);
    if (publish === undefined) {
      this.#malformed();
      return;
    }
    const { topic, payload, qos, retain, messageId } = publish;
    if (qos === 2) {
      this.#received ??= new Set();
      const again = this.#received.has(messageId);
      this.#received.add(messageId);
      this.#send(writeAck(5, messageId));
      if (again) return;
    }
    if (qos === 1) this.#send(writeAck(4, messageId));
    this.#events.message(topic, payload, qos, retain);
  }

  #acknowledged(kind: number, frame: Buffer): void {
    if (frame.length < 4) {
      this.#malformed();
      return;
    }
    const id = frame.readUInt16BE(2);
    const code = this.#five && frame.length > 4 ? (frame[4] ?? 0) : 0;
    if (kind === 6) {
      this.#received?.delete(id);
      this.#send(writeAck(7, id));
      return;
    }
    const outgoing = this.#outgoing.get(id);
    if (outgoing === undefined) return;
    if (code < 0x80 && kind === 5) {
      outgoing.released = true;
      this.#send(writeAck(6, id));
      return;
    }
    this.#outgoing.delete(id);
    // Between two messages a device keeps no table.
    if (this.#outgoing.size === 0) this.#outgoing = nothing;
    outgoing.done(code >= 0x80 ? `puback-0x${code.toString(16)}` : undefined);
  }

  #other(packet: Packet): void {
    switch (packet.cmd) {
      case 'connack':
        this.#connack(packet.returnCode ?? packet.reasonCode ?? 0, packet.sessionPresent);
        return;
      case 'suback': {
        const waiting = this.#subscribes.get(packet.messageId ?? 0);
        this.#subscribes.delete(packet.messageId ?? 0);
        const [code] = packet.granted;
        waiting?.resolve(typeof code === 'number' ? code : 0x80);
        return;
      }
      case 'unsuback': {
        const waiting = this.#subscribes.get(packet.messageId ?? 0);
        this.#subscribes.delete(packet.messageId ?? 0);
        waiting?.resolve(0);
        return;
      }
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

  #connack(code: number, sessionPresent: boolean): void {
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
    links.add(this);
    startTicking();
    if (!sessionPresent) this.#received = undefined;
    this.#sendAgain();
    attempt.resolve({ timing: dialed.timing, connackMs: performance.now(), sessionPresent });
  }

  /** [MQTT-4.4.0-1] unacknowledged PUBLISH and PUBREL again, with their ids, in order. */
  #sendAgain(): void {
    for (const [id, { topic, payload, qos, retain, released }] of this.#outgoing) {
      this.#send(
        released
          ? writeAck(6, id)
          : writePublish(topic, payload, qos, retain, true, id, this.#five),
      );
    }
  }

  #ended(dialed: Dialed): void {
    if (dialed !== this.#dialed) return;
    const attempt = this.#attempt;
    this.#attempt = undefined;
    const wasOnline = this.#online;
    this.#online = false;
    links.delete(this);
    for (const waiting of this.#subscribes.values()) {
      waiting.reject(new LinkError({ reason: 'closed', detail: 'before SUBACK' }));
    }
    this.#subscribes = nothing;
    if (!this.#options.kept) {
      const outgoing = this.#outgoing;
      this.#outgoing = nothing;
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

  #malformed(): void {
    this.#failure = { reason: 'malformed', detail: 'a packet of the broker cannot be read' };
    this.destroy();
  }

  #freeId(): number {
    if (this.#outgoing.size + this.#subscribes.size >= 65_535) return 0;
    do this.#lastId = this.#lastId === 65_535 ? 1 : this.#lastId + 1;
    while (this.#outgoing.has(this.#lastId) || this.#subscribes.has(this.#lastId));
    return this.#lastId;
  }

  #sendPacket(packet: Packet): void {
    this.#send(writePacket(packet, this.#five));
  }

  #send(frame: Buffer): void {
    this.#lastSentMs = performance.now();
    this.#dialed?.socket.write(frame);
  }
}

/** All links that are online: one timer for the keep alive of all of them. */
const links = new Set<LightLink>();
let ticking: NodeJS.Timeout | undefined;

function startTicking(): void {
  ticking ??= setInterval(tickLinks, 500).unref();
}

function tickLinks(): void {
  const nowMs = performance.now();
  for (const link of links) link.tick(nowMs);
  if (links.size === 0) {
    clearInterval(ticking);
    ticking = undefined;
  }
}
