/**
 * An MQTT 3.1.1 client that follows the specification exactly with a kept session: it sends
 * unacknowledged packets again in order with the same packet id, and delivers each QoS 2 message once.
 * Any loss or duplicate is then caused by the broker.
 *
 * @module
 */
import { connect, type SecureContext, type TLSSocket } from 'node:tls';
import {
  connectFrame,
  disconnectPacket,
  packetType,
  publishFrame,
  Scanner,
  subscribePacket,
  writeAcknowledgement,
  type LoadQos,
} from '../load/frames.ts';
import type { LoadTarget } from '../load/load-client.ts';

interface Outgoing {
  readonly topic: string;
  readonly text: string;
  readonly qos: 1 | 2;
  /** PUBREC was received: PUBREL is sent again after a reconnect. */
  released: boolean;
}

export interface ExactClientOptions {
  readonly context: SecureContext;
  readonly clientId: string;
  readonly received?: (topic: string, text: string, qos: LoadQos) => void;
  /** Called when one of its messages is acknowledged completely. */
  readonly completed?: (text: string) => void;
}

export class ExactClient {
  readonly #options: ExactClientOptions;
  readonly #outgoing = new Map<number, Outgoing>();
  readonly #incoming = new Set<number>();
  /** What was outstanding on the former connection. */
  #left: ReadonlyMap<number, Outgoing> = new Map();
  #socket: TLSSocket | undefined;
  /** CONNACK was received: packets may be sent. */
  #isReady = false;
  #connected = Promise.withResolvers<undefined>();
  #subscribed = Promise.withResolvers<undefined>();
  #packetId = 0;
  #connects = 0;
  /** Reconnects at which the broker had no session. */
  sessionsLost = 0;
  /** PUBACK and PUBCOMP packets on a former connection. What they confirm must be durable as well. */
  lateAcknowledgements = 0;
  /** QoS 2 PUBLISH packets that were repeated before their release, which is allowed. */
  repeated = 0;
  /** When the last bytes arrived on the current connection, as `performance.now()`. */
  heardAtMs = 0;

  constructor(options: ExactClientOptions) {
    this.#options = options;
    this.#subscribed.promise.catch(() => undefined);
  }

  /** Messages that are not acknowledged completely. */
  get outstanding(): number {
    return this.#outgoing.size;
  }

  /** Whether the CONNACK has arrived and the connection has not ended since. */
  get isReady(): boolean {
    return this.#isReady;
  }

  /**
   * Connects. Resolves after the CONNACK, when outstanding packets are sent again. A former connection that is open stays
   * so, as one to a broker that hangs: what it acknowledges still counts, and nothing else of it does.
   */
  async connect(target: LoadTarget): Promise<void> {
    const scanner = new Scanner();
    const connected = Promise.withResolvers<undefined>();
    connected.promise.catch(() => undefined);
    this.#connected = connected;
    this.#isReady = false;
    this.#left = new Map(this.#outgoing);
    const socket = connect({
      host: target.host,
      port: target.port,
      secureContext: this.#options.context,
      servername: 'localhost',
    });
    this.#socket = socket;
    const lost = (error?: Error): void => {
      connected.reject(error ?? new Error('closed'));
      if (this.#socket !== socket) return;
      this.#isReady = false;
      this.#subscribed.reject(error ?? new Error('closed'));
    };
    socket.on('error', lost);
    socket.on('close', () => lost());
    socket.on('data', (chunk: Buffer) => {
      if (socket === this.#socket) this.heardAtMs = performance.now();
      scanner.scan(chunk, socket === this.#socket ? this.#packet : this.#latePacket);
    });
    socket.write(connectFrame(this.#options.clientId, false));
    await connected.promise;
  }

  async subscribe(filter: string, qos: LoadQos): Promise<void> {
    this.#subscribed = Promise.withResolvers();
    this.#subscribed.promise.catch(() => undefined);
    this.#socket?.write(subscribePacket(filter, qos));
    await this.#subscribed.promise;
  }

  /** Sends a message once, if it is connected. @returns whether it was sent */
  publishOnce(topic: string, text: string): boolean {
    if (!this.#isReady) return false;
    this.#socket?.write(publishBytes(topic, text, 0));
    return true;
  }

  /** PINGREQ: a broker that is connected answers it. */
  ping(): void {
    this.#socket?.write(pingPacket);
  }

  publish(topic: string, text: string, qos: 1 | 2): void {
    do this.#packetId = this.#packetId === 65_535 ? 1 : this.#packetId + 1;
    while (this.#outgoing.has(this.#packetId));
    const message: Outgoing = { topic, text, qos, released: false };
    this.#outgoing.set(this.#packetId, message);
    if (this.#isReady) this.#send(this.#packetId, message, false);
  }

  /** Sends DISCONNECT and closes; the session is kept. */
  leave(): void {
    this.#socket?.end(disconnectPacket);
    this.#socket = undefined;
    this.#isReady = false;
  }

  /** Closes without DISCONNECT. */
  drop(): void {
    this.#socket?.destroy();
    this.#socket = undefined;
    this.#isReady = false;
  }

  #send(packetId: number, message: Outgoing, again: boolean): void {
    if (message.released) return this.#answer(packetType.pubrel, packetId);
    const bytes = publishBytes(message.topic, message.text, message.qos, packetId);
    if (again) bytes[0] = (bytes[0] ?? 0) | 8;
    this.#socket?.write(bytes);
  }

  #answer(type: number, packetId: number): void {
    const bytes = Buffer.alloc(4);
    writeAcknowledgement(bytes, 0, type, packetId);
    this.#socket?.write(bytes);
  }

  readonly #packet = (first: number, data: Buffer, start: number, end: number): void => {
    const type = first >> 4;
    const packetId = end - start >= 2 ? data.readUInt16BE(start) : 0;
    if (type === packetType.publish) return this.#publish(first, data, start, end);
    if (type === packetType.connack) {
      if (data[start + 1] !== 0) {
        this.#connected.reject(new Error(`CONNECT was rejected: ${data[start + 1]}`));
        return this.drop();
      }
      if (this.#connects++ > 0 && ((data[start] ?? 0) & 1) === 0) this.sessionsLost++;
      this.#isReady = true;
      // A map keeps the order of sending, also for released messages.
      for (const [id, message] of this.#outgoing) this.#send(id, message, true);
      return this.#connected.resolve(undefined);
    }
    if (type === packetType.suback) return this.#subscribed.resolve(undefined);
    if (type === packetType.pubrel) {
      this.#incoming.delete(packetId);
      return this.#answer(packetType.pubcomp, packetId);
    }
    if (type === packetType.pubrec) {
      const message = this.#outgoing.get(packetId);
      if (message !== undefined) message.released = true;
      return this.#answer(packetType.pubrel, packetId);
    }
    if (type === packetType.puback || type === packetType.pubcomp) {
      const message = this.#outgoing.get(packetId);
      this.#outgoing.delete(packetId);
      if (message !== undefined) this.#options.completed?.(message.text);
    }
  };

  readonly #latePacket = (first: number, data: Buffer, start: number, end: number): void => {
    const type = first >> 4;
    if (end - start < 2 || (type !== packetType.puback && type !== packetType.pubcomp)) return;
    this.lateAcknowledgements++;
    const message = this.#left.get(data.readUInt16BE(start));
    if (message !== undefined) this.#options.completed?.(message.text);
  };

  #publish(first: number, data: Buffer, start: number, end: number): void {
    const qos = ((first >> 1) & 3) as LoadQos;
    const topicEnd = start + 2 + data.readUInt16BE(start);
    const topic = data.toString('utf8', start + 2, topicEnd);
    const packetId = qos === 0 ? 0 : data.readUInt16BE(topicEnd);
    const text = data.toString('utf8', topicEnd + (qos === 0 ? 0 : 2), end);
    if (qos === 2 && this.#incoming.has(packetId)) this.repeated++;
    else this.#options.received?.(topic, text, qos);
    if (qos === 1) this.#answer(packetType.puback, packetId);
    if (qos === 2) {
      this.#incoming.add(packetId);
      this.#answer(packetType.pubrec, packetId);
    }
  }
}

const pingPacket = Buffer.from([0xc0, 0]);

function publishBytes(topic: string, text: string, qos: LoadQos, packetId = 0): Buffer {
  const body = Buffer.from(text);
  const { bytes, idAt, payloadAt } = publishFrame(topic, qos, body.length);
  if (qos > 0) bytes.writeUInt16BE(packetId, idAt);
  body.copy(bytes, payloadAt);
  return bytes;
}
