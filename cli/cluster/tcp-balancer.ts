/**
 * A small TCP balancer: one public port, and behind it the one instance that is active.
 *
 * @module
 */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import { listenError } from '../../core/errors/listen-error.ts';
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
  readonly #sockets = new Set<Socket>();
  #target: InstanceAddress | undefined;

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

  /** Sends new connections to `target`, and closes those to another one. Undefined: connections are closed. */
  route(target: InstanceAddress | undefined): void {
    const { host, port } = this.#target ?? {};
    this.#target = target;
    if (target?.host !== host || target?.port !== port) this.#closeAll();
  }

  async close(): Promise<void> {
    this.#target = undefined;
    this.#closeAll();
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    await closed;
  }

  #closeAll(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #accept(client: Socket): void {
    const target = this.#target;
    if (target === undefined) {
      client.destroy();
      return;
    }
    const instance = connect({ ...target, allowHalfOpen: true, noDelay: true });
    for (const [socket, other] of [
      [client, instance],
      [instance, client],
    ] as const) {
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
      socket.once('close', () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
    }
    if (this.#sendsHeader) instance.write(proxyHeaderV2(client));
    client.pipe(instance);
    instance.pipe(client);
  }
}
