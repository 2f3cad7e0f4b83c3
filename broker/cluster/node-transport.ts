/**
 * Streams between the nodes of a fleet, over mutual TLS 1.3.
 *
 * A node is known by the name in its certificate, which the CA of the fleet issued for the role of brokers; both ends
 * ask the directory whether it is active. The connections that this node opens carry the streams that it opens, and
 * no others.
 *
 * @module
 */
import type { TLSSocket } from 'node:tls';
import type { Wire } from '../contracts/connection-wire.ts';
import { HandshakeGate } from '../listeners/handshake-gate.ts';
import { HandshakeQuota } from '../listeners/handshake-quota.ts';
import { TlsListener, type ListenerEvents } from '../listeners/tls-listener.ts';
import { RateLimitedLog } from '../telemetry/rate-limited-log.ts';
import { listenerMaterial, nodeOf, nodeProtocol, refusalOf } from './node-material.ts';
import { OutgoingNode, type OutgoingNodeDeps } from './outgoing-node.ts';
import { StreamMux } from './stream-mux.ts';

export interface NodeTransportDeps extends OutgoingNodeDeps {
  /** The own name, for the log. */
  readonly name: string;
}

/** A stream that another node opened. `from`: the name of that node. */
export type StreamHandler = (request: unknown, wire: Wire, from: string) => void;

/** Nodes to which connections are opened, and connections of other nodes. A fleet has fewer than a hundred. */
const nodesMax = 1024;
const handshakeLimits = {
  handshakesRunningMax: 64,
  handshakesHalfOpenMax: 256,
  handshakesHalfOpenPerAddressMax: 128,
  handshakesPerSecondMax: 0,
  handshakesPerAddressPerSecondMax: 0,
};

interface IncomingNode {
  readonly name: string;
  readonly mux: StreamMux;
}

export class NodeTransport {
  readonly #deps: NodeTransportDeps;
  readonly #limitedLog: RateLimitedLog;
  readonly #outgoing = new Map<string, OutgoingNode>();
  readonly #incoming = new Map<TLSSocket, IncomingNode>();
  #onStream: StreamHandler | undefined = undefined;
  #gate: HandshakeGate | undefined = undefined;
  #listener: TlsListener | undefined = undefined;
  #closed = false;

  /**
   * `admits`: called with the facts of each node at either end, after TLS has verified the chain. `streamsMax`: of each
   * connection. `connectTimeoutMs`: until a handshake is complete, at either end.
   */
  constructor(deps: NodeTransportDeps) {
    this.#deps = deps;
    this.#limitedLog = new RateLimitedLog(deps.log, deps.clock);
  }

  /**
   * Accepts connections of other nodes. Called once.
   *
   * @throws FlotillaError `address-in-use`, `start-failed`
   */
  listen(host: string, port: number): Promise<{ host: string; port: number }> {
    const { clock, material, connectTimeoutMs } = this.#deps;
    const events: ListenerEvents = {
      handshakeFailed: (remoteAddress, code, detail) =>
        this.#warn(remoteAddress, { remoteAddress, code, detail }, 'a handshake of a node failed'),
    };
    const places = new HandshakeQuota(handshakeLimits, {
      clock,
      load: { busy: false },
      threads: 1,
    });
    const gate = new HandshakeGate({ clock, places, handshakeTimeoutMs: connectTimeoutMs, events });
    const listener = new TlsListener(
      { host, port, alpn: [nodeProtocol], handshakeTimeoutMs: connectTimeoutMs, reusePort: false },
      listenerMaterial(material()),
      { clock, gate, events, proxies: () => [], secured: (socket) => this.#secured(socket) },
    );
    this.#gate = gate;
    this.#listener = listener;
    return listener.listen();
  }

  /**
   * Opens a stream to a node at once. What is sent before the connection is established waits, as far as
   * `accepts` allows. If the node cannot be reached, `onClosed` of the stream follows. All streams to a node share
   * one connection. After a failure the next call opens another one, but not at once (100 ms to 2 s): until then
   * streams are closed immediately.
   *
   * @param address `host:port`
   * @param name the name in the certificate of the node; undefined: any node that is admitted
   * @param request at most 16 KB as JSON
   * @throws RangeError when the request is longer
   */
  open(address: string, name: string | undefined, request: object): Wire {
    const key = `${name ?? ''} ${address}`;
    let node = this.#outgoing.get(key);
    if (node === undefined) {
      node = new OutgoingNode(address, name, this.#deps);
      if (this.#outgoing.size >= nodesMax) this.#forgetIdle();
      if (this.#closed || this.#outgoing.size >= nodesMax) return closedStream(this.#deps, request);
      this.#outgoing.set(key, node);
    }
    return this.#closed ? closedStream(this.#deps, request) : node.open(request);
  }

  /** Called for each stream that another node opens. Without a handler they are closed. */
  onStream(handler: StreamHandler): void {
    this.#onStream = handler;
  }

  /** Shows other certificates to new connections. Live connections continue. @throws when OpenSSL refuses them */
  reload(): void {
    this.#listener?.replaceMaterial(listenerMaterial(this.#deps.material()));
  }

  /** Closes the connections of nodes that are not admitted any more. Called when the directory or the CAs changed. */
  review(): void {
    const { material, admits } = this.#deps;
    for (const node of this.#outgoing.values()) node.review();
    for (const [socket, { name, mux }] of this.#incoming) {
      const reason = refusalOf(socket, name, material().authorities, admits);
      if (reason !== undefined) mux.close(reason);
    }
  }

  /** Closes all connections, after what was sent, and stops listening. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#listener?.stopListening();
    this.#gate?.close();
    const sockets: TLSSocket[] = [...this.#incoming.keys()];
    for (const { socket } of this.#outgoing.values())
      if (socket !== undefined) sockets.push(socket);
    const closed = sockets.map((socket) => closeOf(socket));
    for (const node of this.#outgoing.values()) node.close();
    for (const { mux } of this.#incoming.values()) mux.close();
    await Promise.all(closed);
    await this.#listener?.close();
    this.#limitedLog.stop();
  }

  #secured(socket: TLSSocket): void {
    const { clock, streamsMax, material, admits, log } = this.#deps;
    const remoteAddress = socket.remoteAddress ?? '';
    const found = nodeOf(socket, material().authorities, admits);
    if ('reason' in found || this.#closed || this.#incoming.size >= nodesMax) {
      const reason = 'reason' in found ? found.reason : 'too many connections of nodes';
      this.#warn(remoteAddress, { remoteAddress, reason }, 'a node was refused');
      socket.destroy();
      return;
    }
    const { name } = found;
    const mux = new StreamMux({
      clock,
      streamsMax,
      onStream: (request, stream) => this.#opened(request, stream, name),
      onClosed: (reason) => {
        this.#incoming.delete(socket);
        log.info({ peer: name, remoteAddress, reason }, 'a node disconnected');
      },
    });
    this.#incoming.set(socket, { name, mux });
    log.info({ peer: name, remoteAddress }, 'a node connected');
    mux.attach(socket);
  }

  #opened(request: unknown, stream: Wire, from: string): void {
    if (this.#onStream === undefined) {
      stream.destroy();
      return;
    }
    try {
      this.#onStream(request, stream, from);
    } catch (error) {
      this.#deps.log.error({ err: error, peer: from }, 'a stream of a node could not be handled');
      stream.destroy();
    }
  }

  #forgetIdle(): void {
    for (const [key, node] of this.#outgoing) if (node.isIdle) this.#outgoing.delete(key);
  }

  #warn(
    address: string,
    fields: { code?: string; reason?: string; remoteAddress: string; detail?: string },
    text: string,
  ): void {
    this.#limitedLog.write('warn', { address }, fields, text);
  }
}

function closeOf(socket: TLSSocket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.closed) resolve();
    else socket.once('close', () => resolve());
  });
}

/** A stream whose `onClosed` follows. */
function closedStream({ clock }: OutgoingNodeDeps, request: object): Wire {
  const mux = new StreamMux({
    clock,
    streamsMax: 0,
    onStream: undefined,
    onClosed: () => undefined,
  });
  mux.close();
  return mux.open(request);
}
