/**
 * One MQTT connection of the load generator over mutual TLS.
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
  type PublishFrame,
  type LoadQos,
} from './frames.ts';

export interface LoadTarget {
  readonly host: string;
  readonly port: number;
}

export interface LoadClientOptions {
  readonly target: LoadTarget;
  readonly context: SecureContext;
  readonly clientId: string;
  readonly clean?: boolean;
  /** A TLS session to resume. */
  readonly session?: Buffer;
  /** Called for each PUBLISH with the buffer and the start and end of the payload. */
  readonly received?: (data: Buffer, start: number, end: number) => void;
  /** Called once per received chunk with the number of acknowledged messages. */
  readonly acknowledged?: (count: number) => void;
}

const acknowledgementBytes = 4;

export class LoadClient {
  readonly socket: TLSSocket;
  /** Whether the CONNACK reported an existing session. */
  sessionPresent = false;
  /** PUBLISH packets that are not acknowledged completely (QoS 1, 2). */
  inflight = 0;
  readonly #options: LoadClientOptions;
  readonly #scanner = new Scanner();
  readonly #connected = Promise.withResolvers<undefined>();
  #subscribed = Promise.withResolvers<undefined>();
  #answers = Buffer.allocUnsafeSlow(4096);
  #answersLength = 0;
  #acknowledged = 0;
  #packetId = 0;
  #ending = false;
  #frame: PublishFrame | undefined;
  #qos: LoadQos = 0;

  constructor(options: LoadClientOptions) {
    this.#options = options;
    const { target, context, session } = options;
    this.socket = connect({
      host: target.host,
      port: target.port,
      secureContext: context,
      servername: 'localhost',
      ...(session === undefined ? {} : { session }),
    });
    this.socket.setNoDelay(true);
    this.#connected.promise.catch(() => undefined);
    this.#subscribed.promise.catch(() => undefined);
    this.socket.on('data', (chunk: Buffer) => this.#read(chunk));
    this.socket.on('error', (error) => this.#lost(error));
    this.socket.on('close', () => this.#lost(new Error('the broker closed the connection')));
    this.socket.write(connectFrame(options.clientId, options.clean));
  }

  /** Resolves with the CONNACK. */
  connected(): Promise<undefined> {
    return this.#connected.promise;
  }

  /** Subscribes; resolves with the SUBACK. */
  subscribe(filter: string, qos: LoadQos): Promise<undefined> {
    this.#subscribed = Promise.withResolvers();
    this.socket.write(subscribePacket(filter, qos));
    return this.#subscribed.promise;
  }

  /** Sets the message that {@link LoadClient.publish} sends. */
  prepare(topic: string, qos: LoadQos, payloadBytes: number): void {
    this.#frame = publishFrame(topic, qos, payloadBytes);
    this.#qos = qos;
  }

  /**
   * Sends messages in one write.
   *
   * @param stamp written to the first 8 bytes of the payload as a double
   */
  publish(count: number, stamp?: number): void {
    const frame = this.#frame;
    if (frame === undefined) throw new Error('call prepare first');
    const { bytes, idAt, payloadAt } = frame;
    const packet = Buffer.allocUnsafe(bytes.length * count);
    for (let index = 0, at = 0; index < count; index++, at += bytes.length) {
      bytes.copy(packet, at);
      if (idAt > 0) packet.writeUInt16BE(this.#nextId(), at + idAt);
      if (stamp !== undefined) packet.writeDoubleLE(stamp, at + payloadAt);
    }
    if (this.#qos > 0) this.inflight += count;
    this.socket.write(packet);
  }

  /** Ends without waiting. */
  end(): void {
    this.#ending = true;
    if (this.socket.destroyed) return;
    this.socket.end(disconnectPacket);
  }

  destroy(): void {
    this.#ending = true;
    this.socket.destroy();
  }

  #nextId(): number {
    this.#packetId = this.#packetId === 65_535 ? 1 : this.#packetId + 1;
    return this.#packetId;
  }

  #read(chunk: Buffer): void {
    this.#scanner.scan(chunk, this.#packet);
    if (this.#answersLength > 0) {
      const answers = Buffer.allocUnsafe(this.#answersLength);
      this.#answers.copy(answers, 0, 0, this.#answersLength);
      this.#answersLength = 0;
      this.socket.write(answers);
    }
    if (this.#acknowledged > 0) {
      const count = this.#acknowledged;
      this.#acknowledged = 0;
      this.inflight -= count;
      this.#options.acknowledged?.(count);
    }
  }

  readonly #packet = (first: number, data: Buffer, start: number, end: number): void => {
    switch (first >> 4) {
      case packetType.publish: {
        const qos = (first >> 1) & 3;
        let payloadAt = start + 2 + data.readUInt16BE(start);
        if (qos > 0) {
          this.#answer(
            qos === 1 ? packetType.puback : packetType.pubrec,
            data.readUInt16BE(payloadAt),
          );
          payloadAt += 2;
        }
        this.#options.received?.(data, payloadAt, end);
        return;
      }
      case packetType.puback:
      case packetType.pubcomp:
        this.#acknowledged++;
        return;
      case packetType.pubrec:
        return this.#answer(packetType.pubrel, data.readUInt16BE(start));
      case packetType.pubrel:
        return this.#answer(packetType.pubcomp, data.readUInt16BE(start));
      case packetType.connack:
        this.sessionPresent = ((data[start] ?? 0) & 1) === 1;
        if (data[start + 1] === 0) this.#connected.resolve(undefined);
        else this.#lost(new Error(`CONNECT was rejected: ${data[start + 1]}`));
        return;
      case packetType.suback:
        if ((data[start + 2] ?? 0x80) < 0x80) this.#subscribed.resolve(undefined);
        else this.#subscribed.reject(new Error('SUBSCRIBE was rejected'));
    }
  };

  #answer(type: number, packetId: number): void {
    if (this.#answersLength + acknowledgementBytes > this.#answers.length) {
      const larger = Buffer.allocUnsafeSlow(this.#answers.length * 2);
      this.#answers.copy(larger);
      this.#answers = larger;
    }
    this.#answersLength = writeAcknowledgement(this.#answers, this.#answersLength, type, packetId);
  }

  #lost(error: Error): void {
    this.#connected.reject(error);
    this.#subscribed.reject(error);
    // Results are meaningless after a lost connection: end the run.
    if (!this.#ending) throw new Error(`${this.#options.clientId}: ${error.message}`);
  }
}
