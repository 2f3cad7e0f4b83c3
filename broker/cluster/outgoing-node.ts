/**
 * The connection that this node opens to one other node, and opens again when it is used after a failure.
 *
 * @module
 */
import { connect as connectTls, type TLSSocket } from 'node:tls';
import type { Clock } from '../../core/clock.ts';
import { messageOf } from '../../core/errors/flotilla-error.ts';
import type { Logger } from '../../core/log.ts';
import { patientTimeout } from '../../core/patient-timeout.ts';
import type { Wire } from '../contracts/connection-wire.ts';
import {
  nodeOf,
  nodeProtocol,
  refusalOf,
  type AdmitsNode,
  type NodeMaterial,
} from './node-material.ts';
import { StreamMux } from './stream-mux.ts';

export interface OutgoingNodeDeps {
  readonly material: () => NodeMaterial;
  readonly admits: AdmitsNode;
  readonly clock: Clock;
  readonly log: Logger;
  readonly streamsMax: number;
  readonly connectTimeoutMs: number;
}

/** The wait after the first failure in ms; it doubles with each one that follows. */
const retryMinMs = 100;
const retryMaxMs = 2000;
/** A connection that lasted so long was not a failure. */
const stableMinMs = 1000;

export class OutgoingNode {
  readonly #deps: OutgoingNodeDeps;
  readonly #address: string;
  readonly #expected: string | undefined;
  /** The last connection. While nothing may be tried it is closed, and refuses all streams. */
  #mux: StreamMux | undefined = undefined;
  #socket: TLSSocket | undefined = undefined;
  /** The name in the certificate of the peer, once it is admitted. */
  #name: string | undefined = undefined;
  #securedAtMs = Infinity;
  #failures = 0;
  #retryAtMs = 0;

  /**
   * @param address `host:port`
   * @param expected the name of the node; undefined: any that is admitted
   */
  constructor(address: string, expected: string | undefined, deps: OutgoingNodeDeps) {
    this.#address = address;
    this.#expected = expected;
    this.#deps = deps;
  }

  /** Whether it has no connection, and may be forgotten. */
  get isIdle(): boolean {
    return this.#mux?.isClosed !== false && this.#deps.clock.monotonicMs() >= this.#retryAtMs;
  }

  /** The socket, until it is closed. */
  get socket(): TLSSocket | undefined {
    return this.#socket?.closed === false ? this.#socket : undefined;
  }

  open(request: object): Wire {
    const mux = this.#mux;
    return (mux === undefined || this.isIdle ? this.#connect() : mux).open(request);
  }

  /** Closes the connection if the node is not admitted any more. */
  review(): void {
    const { material, admits } = this.#deps;
    if (this.#name === undefined || this.#socket === undefined) return;
    const reason = refusalOf(this.#socket, this.#name, material().authorities, admits);
    if (reason !== undefined) this.#mux?.close(reason);
  }

  close(): void {
    this.#mux?.close();
  }

  #connect(): StreamMux {
    const { clock, streamsMax } = this.#deps;
    let isAttached = false;
    let socket: TLSSocket | undefined;
    this.#name = undefined;
    this.#securedAtMs = Infinity;
    const mux = new StreamMux({
      clock,
      streamsMax,
      onStream: undefined,
      onClosed: (reason) => {
        cancel();
        if (!isAttached) socket?.destroy();
        this.#onClosed(reason);
      },
    });
    this.#mux = mux;
    const cancel = patientTimeout(clock, this.#deps.connectTimeoutMs, () =>
      mux.close('no connection in time'),
    );
    try {
      socket = this.#dial();
    } catch (error) {
      mux.close(messageOf(error));
      return mux;
    }
    const secured = socket;
    this.#socket = secured;
    secured.on('error', (error) => mux.close(messageOf(error)));
    secured.on('close', () => mux.close('the peer closed the connection'));
    secured.once('secureConnect', () => {
      cancel();
      const reason = this.#admit(secured);
      if (reason !== undefined) {
        mux.close(reason);
        return;
      }
      isAttached = true;
      mux.attach(secured);
    });
    return mux;
  }

  /** @throws when the address or the certificate is not valid */
  #dial(): TLSSocket {
    const { key, chain, authorities } = this.#deps.material();
    const at = this.#address.lastIndexOf(':');
    const socket = connectTls({
      host: this.#address.slice(0, at).replace(/^\[(.*)\]$/, '$1'),
      port: Number(this.#address.slice(at + 1)),
      key,
      cert: chain,
      ca: authorities.map(String),
      minVersion: 'TLSv1.3',
      ALPNProtocols: [nodeProtocol],
      // Nodes are known by the name in their certificate. Their addresses may change, and are in no certificate.
      checkServerIdentity: () => undefined,
    });
    socket.setNoDelay(true);
    return socket;
  }

  /** @returns why the node is not the expected one, or not admitted */
  #admit(socket: TLSSocket): string | undefined {
    const { material, admits, clock, log } = this.#deps;
    const found = nodeOf(socket, material().authorities, admits);
    if ('reason' in found) return found.reason;
    const { name } = found;
    if (this.#expected !== undefined && name !== this.#expected) {
      return `the node is ${name}, not ${this.#expected}`;
    }
    this.#name = name;
    this.#securedAtMs = clock.monotonicMs();
    log.info({ peer: name, address: this.#address }, 'connected to a node');
    return undefined;
  }

  #onClosed(reason: string | undefined): void {
    const nowMs = this.#deps.clock.monotonicMs();
    this.#failures = nowMs - this.#securedAtMs >= stableMinMs ? 0 : this.#failures + 1;
    const waitMs = Math.min(retryMaxMs, retryMinMs * 2 ** (this.#failures - 1));
    this.#retryAtMs = this.#failures === 0 || reason === undefined ? nowMs : nowMs + waitMs;
    const { log } = this.#deps;
    const fields = { peer: this.#name ?? this.#expected, address: this.#address, reason };
    if (reason === undefined) log.debug(fields, 'disconnected from a node');
    else if (this.#name === undefined) {
      // Once is usual: a node has stopped, and this one does not know it yet.
      log[this.#failures > 1 ? 'warn' : 'info'](fields, 'cannot connect to a node');
    }
    // A node that stops in order closes its streams before.
    else if (this.#mux?.streams === 0) log.info(fields, 'disconnected from a node');
    else log.warn(fields, 'the connection to a node is lost');
  }
}
