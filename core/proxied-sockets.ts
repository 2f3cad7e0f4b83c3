/**
 * The addresses of clients behind load balancers. A connection from a configured network must begin with a
 * header of the PROXY protocol; a header from anywhere else is refused, because it could claim any address.
 *
 * @module
 */
import type { BlockList, Socket } from 'node:net';
import type { Clock } from './clock.ts';
import type { ErrorCode } from './errors/catalogue.ts';
import { unmappedAddress } from './ip-address.ts';
import { ipNetworks, isInNetworks } from './ip-networks.ts';
import { patientTimeout } from './patient-timeout.ts';
import {
  looksLikeProxyHeader,
  parseProxyHeader,
  proxyHeaderMaxBytes,
  type ProxySource,
} from './proxy-header.ts';

export interface ProxiedSocketsDeps {
  /** Networks of the load balancers: addresses, or networks like 10.0.0.0/8. Asked for each connection. */
  networks(): readonly string[];
  readonly timeoutMs: number;
  readonly clock: Clock;
  /** A connection was closed. */
  refused(remoteAddress: string, code: ErrorCode, detail: string): void;
}

export class ProxiedSockets {
  readonly #deps: ProxiedSocketsDeps;
  #networks: readonly string[];
  #blocks: BlockList;
  /** The clients behind the open connections of load balancers, by address and port of the connection. */
  readonly #sources = new Map<string, ProxySource>();

  constructor(deps: ProxiedSocketsDeps) {
    this.#deps = deps;
    this.#networks = deps.networks();
    this.#blocks = ipNetworks(this.#networks);
  }

  /** Whether a connection comes from a load balancer. */
  isProxied(socket: Socket): boolean {
    const address = unmappedAddress(socket.remoteAddress ?? '');
    const networks = this.#deps.networks();
    if (networks !== this.#networks) {
      this.#networks = networks;
      this.#blocks = ipNetworks(networks);
    }
    return isInNetworks(address, this.#blocks);
  }

  /**
   * Reads the header of a new connection, and calls `begin` when it is complete: then the socket reports
   * the address of the client, and the bytes after the header are still to be read. Other connections
   * begin when their first bytes arrived. Who sends none within the timeout is closed.
   */
  accept(socket: Socket, begin: () => void): void {
    const peer = unmappedAddress(socket.remoteAddress ?? '');
    const isProxied = this.isProxied(socket);
    let received: Buffer = Buffer.alloc(0);
    const refuse = (code: ErrorCode, detail: string): void => {
      stop();
      this.#deps.refused(peer, code, detail);
      socket.destroy();
    };
    const onGone = (): void => {
      stop();
      socket.destroy();
    };
    const cancel = patientTimeout(this.#deps.clock, this.#deps.timeoutMs, () =>
      refuse('handshake-timeout', isProxied ? 'no complete PROXY header' : ''),
    );
    const stop = (): void => {
      cancel();
      socket.off('readable', onReadable);
      socket.off('end', onGone);
      socket.off('close', onGone);
    };
    const start = (source: ProxySource | undefined, rest: Buffer): void => {
      stop();
      if (source !== undefined) this.#assign(socket, source);
      if (rest.length > 0) socket.unshift(rest);
      begin();
    };
    const onReadable = (): void => {
      for (let chunk = read(socket); chunk !== null; chunk = read(socket)) {
        received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
      }
      if (received.length === 0) return;
      if (!isProxied) {
        if (looksLikeProxyHeader(received)) refuse('proxy-header-refused', '');
        else start(undefined, received);
        return;
      }
      const header = parseProxyHeader(received);
      if (header.kind === 'header') start(header.source, received.subarray(header.bytes));
      else if (header.kind === 'missing') refuse('proxy-header-missing', '');
      else if (header.kind === 'invalid') refuse('proxy-header-invalid', header.detail);
      else if (received.length > proxyHeaderMaxBytes) refuse('proxy-header-invalid', 'too long');
    };
    socket.on('readable', onReadable);
    socket.once('end', onGone);
    socket.once('close', onGone);
  }

  /** Makes a TLS socket report the same client as the connection below it. */
  apply(socket: Socket): void {
    const source = this.#sources.get(connectionOf(socket));
    if (source !== undefined) report(socket, source);
  }

  #assign(socket: Socket, source: ProxySource): void {
    const connection = connectionOf(socket);
    this.#sources.set(connection, source);
    socket.once('close', () => this.#sources.delete(connection));
    report(socket, source);
  }
}

/** The address and port of the peer of a connection, which no other open connection to this port has. */
function connectionOf(socket: Socket): string {
  return `${socket.remoteAddress ?? ''} ${socket.remotePort ?? 0} ${socket.localPort ?? 0}`;
}

/** Node.js has no other way to change the address that a socket reports. */
function report(socket: Socket, { address, port }: ProxySource): void {
  Object.defineProperties(socket, {
    remoteAddress: { value: address, configurable: true },
    remotePort: { value: port, configurable: true },
  });
}

function read(socket: Socket): Buffer | null {
  // Without an encoding, a socket returns buffers. Its type does not express that.
  return socket.read() as Buffer | null;
}
