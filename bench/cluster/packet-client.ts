/**
 * One MQTT 5.0 connection with wills, session expiry and retained messages. It does not connect again.
 *
 * @module
 */
import { connect, type SecureContext, type TLSSocket } from 'node:tls';
import { generate, parser, type IConnectPacket, type Packet } from 'mqtt-packet';
import type { LoadTarget } from '../load/load-client.ts';

const connectMaxMs = 30_000;
const answerMaxMs = 60_000;

export interface PacketClientOptions {
  readonly context: SecureContext;
  readonly clientId: string;
  readonly clean: boolean;
  /** Default: the session ends with the connection. */
  readonly sessionExpirySeconds?: number;
  readonly will?: {
    readonly topic: string;
    readonly payload: string;
    readonly delaySeconds: number;
  };
  readonly received?: (topic: string, payload: string, isRetained: boolean) => void;
}

export class PacketClient {
  sessionPresent = false;
  readonly #options: PacketClientOptions;
  readonly #socket: TLSSocket;
  readonly #answers = new Map<string, (packet: Packet) => void>();
  #packetId = 0;
  #isOpen = false;
  readonly #connected = Promise.withResolvers<undefined>();

  private constructor(target: LoadTarget, options: PacketClientOptions) {
    this.#options = options;
    const { host, port } = target;
    const { context: secureContext } = options;
    const socket = connect({ host, port, secureContext, servername: 'localhost' });
    this.#socket = socket;
    const incoming = parser({ protocolVersion: 5 });
    incoming.on('packet', (packet: Packet) => this.#packet(packet));
    incoming.on('error', () => socket.destroy());
    socket.on('data', (chunk: Buffer) => incoming.parse(chunk));
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.#isOpen = false;
      this.#connected.reject(new Error('closed'));
    });
    socket.setTimeout(connectMaxMs, () => {
      if (!this.#isOpen) socket.destroy();
    });
    this.#send(connectPacketOf(options));
  }

  /** Resolves with the CONNACK. @throws Error when the connection is rejected or ends */
  static async connect(target: LoadTarget, options: PacketClientOptions): Promise<PacketClient> {
    const client = new PacketClient(target, options);
    await client.#connected.promise;
    return client;
  }

  /** Whether the CONNACK has arrived, and the connection has not ended. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Resolves with the SUBACK. @throws Error when it is refused or does not arrive */
  async subscribe(topic: string, qos: 0 | 1 | 2): Promise<void> {
    const messageId = this.#nextId();
    const subscriptions = [{ topic, qos }];
    const answer = await this.#ask('suback', messageId, {
      ...{ cmd: 'subscribe', messageId, subscriptions },
    });
    const [code] = answer.cmd === 'suback' ? answer.granted : [];
    if (typeof code !== 'number' || code >= 0x80)
      throw new Error(`${topic}: SUBSCRIBE was refused`);
  }

  async unsubscribe(topic: string): Promise<void> {
    const messageId = this.#nextId();
    await this.#ask('unsuback', messageId, {
      ...{ cmd: 'unsubscribe', messageId, unsubscriptions: [topic] },
    });
  }

  /** Resolves with the PUBACK, or with the PUBCOMP. @throws Error when it does not arrive */
  async publish(topic: string, payload: string, qos: 0 | 1 | 2, retain = false): Promise<void> {
    const packet = { cmd: 'publish', topic, payload, qos, retain, dup: false } as const;
    if (qos === 0) {
      this.#send(packet);
      return;
    }
    const messageId = this.#nextId();
    await this.#ask(qos === 1 ? 'puback' : 'pubcomp', messageId, { ...packet, messageId });
  }

  /** PINGREQ. @returns whether it is answered */
  async ping(): Promise<boolean> {
    if (!this.#isOpen) return false;
    return this.#ask('pingresp', 0, { cmd: 'pingreq' }).then(
      () => true,
      () => false,
    );
  }

  /** DISCONNECT: there will be no will message. */
  leave(): void {
    if (this.#isOpen) this.#send({ cmd: 'disconnect', reasonCode: 0 });
    this.#socket.end();
  }

  /** Closes without DISCONNECT. */
  drop(): void {
    this.#socket.destroy();
  }

  #packet(packet: Packet): void {
    switch (packet.cmd) {
      case 'connack': {
        const code = packet.reasonCode ?? packet.returnCode ?? 0;
        if (code !== 0) {
          this.#connected.reject(new Error(`CONNECT was rejected: ${code}`));
          this.#socket.destroy();
          return;
        }
        this.#isOpen = true;
        this.sessionPresent = packet.sessionPresent;
        this.#connected.resolve(undefined);
        return;
      }
      case 'publish': {
        const { messageId, qos, topic, payload, retain } = packet;
        this.#options.received?.(topic, payload.toString(), retain);
        if (qos === 1) this.#send({ cmd: 'puback', messageId: messageId ?? 0 });
        if (qos === 2) this.#send({ cmd: 'pubrec', messageId: messageId ?? 0 });
        return;
      }
      case 'pubrec':
        return this.#send({ cmd: 'pubrel', messageId: packet.messageId ?? 0 });
      case 'pubrel':
        return this.#send({ cmd: 'pubcomp', messageId: packet.messageId ?? 0 });
      default:
        this.#answers.get(`${packet.cmd} ${packet.messageId ?? 0}`)?.(packet);
    }
  }

  async #ask(cmd: string, messageId: number, packet: Packet): Promise<Packet> {
    if (!this.#isOpen) throw new Error(`${this.#options.clientId}: no ${cmd}: closed`);
    const { promise, resolve, reject } = Promise.withResolvers<Packet>();
    const key = `${cmd} ${messageId}`;
    const lost = (): void => reject(new Error(`${this.#options.clientId}: no ${cmd}: closed`));
    const timer = setTimeout(
      () => reject(new Error(`${this.#options.clientId}: no ${cmd} in time`)),
      answerMaxMs,
    );
    this.#answers.set(key, resolve);
    this.#socket.once('close', lost);
    try {
      this.#send(packet);
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#socket.off('close', lost);
      this.#answers.delete(key);
    }
  }

  #send(packet: Packet): void {
    this.#socket.write(generate(packet, { protocolVersion: 5 }));
  }

  #nextId(): number {
    this.#packetId = this.#packetId === 65_535 ? 1 : this.#packetId + 1;
    return this.#packetId;
  }
}

function connectPacketOf(options: PacketClientOptions): IConnectPacket {
  const { clientId, clean, sessionExpirySeconds = 0, will } = options;
  return {
    ...{ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 5 },
    ...{ clientId, clean, keepalive: 600 },
    properties: { sessionExpiryInterval: sessionExpirySeconds },
    ...(will === undefined
      ? {}
      : {
          will: {
            topic: will.topic,
            payload: Buffer.from(will.payload),
            ...{ qos: 1, retain: false },
            properties: { willDelayInterval: will.delaySeconds },
          },
        }),
  };
}
