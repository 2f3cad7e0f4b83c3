/**
 * A client that acknowledges what it gets, and completes what it publishes, at once.
 *
 * @module
 */
import type { ConnectOptions, RawClient, Received, World } from './session-world.ts';

export class ClientWithAcks {
  readonly client: RawClient;
  /** What it got, in order. A QoS 2 message that comes again before it is released is not new. */
  readonly messages: Received[] = [];
  /** How many of its own messages are acknowledged. */
  acknowledged = 0;
  readonly #unreleased = new Set<number>();

  constructor(client: RawClient) {
    this.client = client;
    const { packets } = client;
    packets.push = (...added: Received[]): number => {
      for (const packet of added) {
        if (!this.#handle(packet)) Array.prototype.push.call(packets, packet);
      }
      return packets.length;
    };
    // What came with CONNACK.
    packets.push(...packets.splice(0));
  }

  static async connect(world: World, options: ConnectOptions): Promise<ClientWithAcks> {
    return new ClientWithAcks(await world.connect(options));
  }

  get payloads(): string[] {
    return this.messages.map(({ payload }) => String(payload));
  }

  /** @returns false if it is for the test */
  #handle(packet: Received): boolean {
    const { client } = this;
    const id = packet.messageId ?? 0;
    switch (packet.cmd) {
      case 'publish':
        if (packet.qos !== 2 || !this.#unreleased.has(id)) this.messages.push(packet);
        if (packet.qos === 1) client.ack('puback', id);
        if (packet.qos === 2) {
          this.#unreleased.add(id);
          client.ack('pubrec', id);
        }
        return true;
      case 'pubrel':
        this.#unreleased.delete(id);
        client.ack('pubcomp', id);
        return true;
      case 'pubrec':
        client.ack('pubrel', id);
        return true;
      case 'puback':
      case 'pubcomp':
        this.acknowledged++;
        return true;
      default:
        return false;
    }
  }
}
