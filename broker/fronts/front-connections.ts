/**
 * The connections of a front after their TLS handshake.
 *
 * @module
 */
import type { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import type { ErrorCode } from '../../core/errors/catalogue.ts';
import type { TlsFacts } from '../admission/admission.ts';
import { tlsFactsOf } from '../admission/tls-facts.ts';
import type { PortName } from '../listeners/device-ports.ts';
import type { Handshake } from '../listeners/tls-listener.ts';
import type { UpgradeTarget } from '../listeners/websocket-upgrade.ts';
import { FrontConnection } from './front-connection.ts';
import type { SecuredFacts, UpgradeFailure } from './front-facts.ts';
import { fromFront, toFront } from './front-frames.ts';
import type { FrontOutbox } from './front-outbox.ts';

export interface FrontConnectionsDeps {
  readonly outbox: FrontOutbox;
  /** The CA certificates in force. */
  readonly authorities: () => readonly X509Certificate[];
  /** Waits for the WebSocket upgrade of a connection. */
  readonly upgrade: (socket: TLSSocket, target: UpgradeTarget) => void;
}

interface Entry {
  readonly connection: FrontConnection;
  readonly port: PortName;
}

export class FrontConnections {
  readonly #deps: FrontConnectionsDeps;
  readonly #entries: (Entry | undefined)[] = [];
  readonly #freeIds: number[] = [];
  /** The connections with something to write at the end of this turn. */
  readonly #touched: FrontConnection[] = [];
  readonly #closing: FrontConnection[] = [];
  #open = 0;

  constructor(deps: FrontConnectionsDeps) {
    this.#deps = deps;
  }

  /** Connections whose TLS handshake is complete. */
  get open(): number {
    return this.#open;
  }

  /** Asks the core whether a connection is admitted. Nothing is read before. */
  secured(port: PortName, socket: TLSSocket, handshake: Handshake): void {
    const { outbox, authorities } = this.#deps;
    const id = this.#freeIds.pop() ?? this.#entries.length;
    const connection = new FrontConnection(id, socket, outbox);
    this.#entries[id] = { connection, port };
    this.#open++;
    const facts = securedFacts(port, tlsFactsOf(socket, authorities()), handshake);
    outbox.send(fromFront.secured, id, JSON.stringify(facts));
    socket.once('close', () => {
      this.#open--;
      // The stream of a WebSocket may still have bytes of the client.
      if (!connection.closesLater) outbox.send(fromFront.closed, id);
    });
  }

  /** Handles a frame for a connection. */
  take(kind: number, id: number, start: number, end: number): void {
    const entry = this.#entries[id];
    if (entry === undefined) return;
    const { connection } = entry;
    switch (kind) {
      case toFront.data:
      case toFront.dataAwaited:
        if (connection.add(start, end, kind === toFront.dataAwaited))
          this.#touched.push(connection);
        return;
      case toFront.admit:
        this.#admitted(entry);
        return;
      case toFront.pause:
        connection.pause();
        return;
      case toFront.resume:
        connection.resume();
        return;
      case toFront.end:
        this.#closing.push(connection);
        return;
      case toFront.destroy:
        connection.destroy();
        return;
      case toFront.forget:
        this.#entries[id] = undefined;
        this.#freeIds.push(id);
    }
  }

  /** Writes the bytes of this turn. They are in the ring, which is released afterwards. */
  flush(ring: Buffer): void {
    for (const connection of this.#touched) connection.flush(ring);
    this.#touched.length = 0;
    for (const connection of this.#closing) connection.end();
    this.#closing.length = 0;
  }

  #admitted({ connection, port }: Entry): void {
    const { outbox, upgrade } = this.#deps;
    const { id, socket } = connection;
    if (socket.destroyed) return;
    if (port === 'mqtts') {
      connection.start(socket);
      return;
    }
    upgrade(socket, {
      upgraded: (stream) => {
        outbox.send(fromFront.upgraded, id);
        connection.closesLater = true;
        connection.start(stream);
        stream.once('close', () => outbox.send(fromFront.closed, id));
      },
      refused: (code: ErrorCode, detail: string) => {
        const failure: UpgradeFailure = { code, detail };
        outbox.send(fromFront.upgradeRefused, id, JSON.stringify(failure));
      },
      // The socket is closed, which is reported in any case.
      closed: () => undefined,
    });
  }
}

/** The facts for the core: what is expensive is computed here, and only if admission may need it. */
function securedFacts(
  port: PortName,
  { certificate, chainError, remoteAddress, tlsVersion, resumed }: TlsFacts,
  { durationMs }: Handshake,
): SecuredFacts {
  return {
    port,
    durationMs,
    chainError: chainError ?? null,
    remoteAddress,
    tlsVersion,
    resumed,
    certificate:
      certificate === undefined
        ? null
        : {
            serial: certificate.serial,
            fingerprint: certificate.fingerprint,
            commonName: certificate.commonName,
            forClients: certificate.forClients,
            subject: certificate.commonName.ok ? '' : certificate.subject(),
            issuer: certificate.issuer() ?? null,
            issuedHere: chainError !== undefined && certificate.issuedHere(),
          },
  };
}
