/**
 * A small TCP balancer: one public port, and behind it the processes that accept connections.
 *
 * @module
 */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import { listenError } from '../../core/errors/listen-error.ts';
import { chooseTarget } from './instance-choice.ts';
import { proxyHeaderV2 } from './proxy-header-v2.ts';

/** More are closed at once: this is for looking at a failover, not for a fleet. */
const connectionsMax = 20_000;

export interface InstanceAddress {
  readonly host: string;
  readonly port: number;
}

export class TcpBalancer {
  readonly #sendsHeader: boolean;
  readonly #server: Server;
  /** Clients by the address of their target. */
  readonly #clients = new Map<string, Set<Socket>>();
  #targets: readonly InstanceAddress[] = [];
  #next = 0;

  /** @param sendsHeader whether the target learns the client's address from a PROXY protocol header, version 2 */
  constructor(sendsHeader: boolean) {
    this.#sendsHeader = sendsHeader;
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (client) =>
      this.#accept(client),
    );
    this.#server.maxConnections = connectionsMax;
  }

  /**
   * @returns the port
   * @throws FlotillaError `address-in-use`, `start-failed`
   */
  async listen(host: string, port: number): Promise<number> {
    try {
      this.#server.listen(port, host);
      await once(this.#server, 'listening');
    } catch (error) {
      throw listenError(host, port, error);
    }
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : port;
  }

  /**
   * Distributes new connections over `targets`; without any, they are closed. Open connections stay where they are: they
   * end with their target.
   */
  route(targets: readonly InstanceAddress[]): void {
    this.#targets = targets;
  }

  /** Closes the open connections to a target. */
  leave(target: InstanceAddress): void {
    for (const client of this.#clients.get(keyOf(target)) ?? []) client.destroy();
  }

  async close(): Promise<void> {
    this.#targets = [];
    for (const clients of this.#clients.values()) for (const client of clients) client.destroy();
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    await closed;
  }

  #accept(client: Socket): void {
    client.on('error', () => undefined);
    const counts = this.#targets.map((one) => this.#clients.get(keyOf(one))?.size ?? 0);
    const index = chooseTarget(counts, this.#next);
    const target = index === undefined ? undefined : this.#targets[index];
    if (index === undefined || target === undefined) {
      client.destroy();
      return;
    }
    this.#next = index + 1;
    this.#add(keyOf(target), client);
    const instance = connect({ ...target, allowHalfOpen: true, noDelay: true });
    instance.on('error', () => undefined);
    instance.once('close', () => client.destroy());
    client.once('close', () => instance.destroy());
    if (this.#sendsHeader) instance.write(proxyHeaderV2(client));
    client.pipe(instance);
    instance.pipe(client);
  }

  #add(key: string, client: Socket): void {
    const clients = this.#clients.get(key) ?? new Set();
    this.#clients.set(key, clients.add(client));
    client.once('close', () => {
      clients.delete(client);
      if (clients.size === 0 && this.#clients.get(key) === clients) this.#clients.delete(key);
    });
  }
}

function keyOf({ host, port }: InstanceAddress): string {
  return `${host} ${port}`;
}
