/**
 * A TCP proxy on this machine, with faults of the network that a test or a benchmark controls.
 *
 * @module
 */
import { once } from 'node:events';
import {
  createServer,
  type AddressInfo,
  type NetConnectOpts,
  type Server,
  type Socket,
} from 'node:net';
import { NetworkPath } from './network-path.ts';
import { ProxiedConnection } from './proxied-connection.ts';

/** Decides which path a connection takes. */
export type PathChooser = (client: Socket) => NetworkPath | Promise<NetworkPath>;

export class TcpProxy {
  /** The path of all connections if none is chosen. */
  readonly path = new NetworkPath();
  readonly #server: Server;
  readonly #connections = new Set<ProxiedConnection>();
  #target: NetConnectOpts | undefined;

  private constructor(target: NetConnectOpts | undefined, choose: PathChooser | undefined) {
    this.#target = target;
    this.#server = createServer({ allowHalfOpen: true }, (client) => {
      client.on('error', () => undefined);
      void this.#accept(client, choose);
    });
  }

  /**
   * Listens at a free port of 127.0.0.1.
   *
   * @param target the server; undefined: connections wait until {@link forwardTo} is called
   */
  static async listen(target?: NetConnectOpts, choose?: PathChooser): Promise<TcpProxy> {
    const proxy = new TcpProxy(target, choose);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get host(): string {
    return '127.0.0.1';
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** New connections, and those that wait, go there. */
  forwardTo(target: NetConnectOpts): void {
    this.#target = target;
    for (const connection of this.#connections) connection.pump();
  }

  /** Ends all connections and listens no more. */
  close(): void {
    this.#server.close();
    for (const connection of [...this.#connections]) connection.reset();
  }

  async #accept(client: Socket, choose: PathChooser | undefined): Promise<void> {
    const path = choose === undefined ? this.path : await choose(client);
    if (path.refuses || client.destroyed || !this.#server.listening) {
      client.resetAndDestroy();
      return;
    }
    const connection: ProxiedConnection = new ProxiedConnection(
      client,
      path,
      () => this.#target,
      () => this.#connections.delete(connection),
    );
    this.#connections.add(connection);
  }
}
