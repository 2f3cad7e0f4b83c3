/**
 * The two ports for devices in one thread: MQTT over TLS, and MQTT over WebSocket over TLS.
 *
 * @module
 */
import type { TLSSocket } from 'node:tls';
import type { Clock } from '../../core/clock.ts';
import type { TlsMaterial } from '../certificates/tls-material.ts';
import type { HandshakeGate } from './handshake-gate.ts';
import { TlsListener, type Handshake, type ListenerEvents } from './tls-listener.ts';
import { WebSocketUpgrade, type UpgradeTarget } from './websocket-upgrade.ts';

export type PortName = 'mqtts' | 'wss';

export interface DevicePortsOptions {
  readonly host: string;
  readonly mqttsPort: number;
  readonly wssPort: number;
  /** Origins of web pages that may open a WebSocket, in addition to the own one. */
  readonly wssOrigins: readonly string[];
  readonly handshakeTimeoutMs: number;
  readonly connectTimeoutMs: number;
  readonly packetMaxBytes: number;
  /** Whether other threads listen on the same ports. */
  readonly reusePort: boolean;
}

/** The certificates of both ports. Each port has its own keys for session tickets. */
export type PortMaterial = Readonly<Record<PortName, TlsMaterial>>;

export interface DevicePortsDeps {
  readonly clock: Clock;
  readonly gate: HandshakeGate;
  readonly events: ListenerEvents;
  /** Networks of load balancers that send the PROXY protocol, as they are now. */
  readonly proxies: () => readonly string[];
  /** Takes ownership of a connection whose TLS handshake is complete. */
  secured(port: PortName, socket: TLSSocket, handshake: Handshake): void;
}

/** The address that a port is bound to. */
export interface PortAddress {
  readonly host: string;
  readonly port: number;
}

export interface DeviceAddresses {
  readonly mqtts: PortAddress;
  readonly wss: PortAddress;
}

export class DevicePorts {
  readonly #options: DevicePortsOptions;
  readonly #deps: DevicePortsDeps;
  readonly #upgrade: WebSocketUpgrade;
  readonly #mqtts: TlsListener;
  readonly #wss: TlsListener;
  #listening = false;

  constructor(options: DevicePortsOptions, material: PortMaterial, deps: DevicePortsDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#upgrade = new WebSocketUpgrade(
      {
        packetMaxBytes: options.packetMaxBytes,
        upgradeTimeoutMs: options.connectTimeoutMs,
        origins: options.wssOrigins,
      },
      deps.clock,
    );
    const { mqttsPort, wssPort } = options;
    this.#mqtts = this.#listener('mqtts', mqttsPort, ['mqtt', 'x-amzn-mqtt-ca'], material);
    this.#wss = this.#listener('wss', wssPort, ['http/1.1'], material);
  }

  /** Whether both ports are open. */
  get listening(): boolean {
    return this.#listening;
  }

  /** @throws FlotillaError `address-in-use`, `start-failed` */
  async listen(): Promise<DeviceAddresses> {
    const addresses = { mqtts: await this.#mqtts.listen(), wss: await this.#wss.listen() };
    this.#listening = true;
    return addresses;
  }

  /** Waits for the WebSocket upgrade of an admitted connection. Takes ownership of it. */
  upgrade(socket: TLSSocket, target: UpgradeTarget): void {
    this.#upgrade.take(socket, target);
  }

  /** Uses other certificates for new connections. Live connections are not affected. */
  replaceMaterial(material: PortMaterial): void {
    this.#mqtts.replaceMaterial(material.mqtts);
    this.#wss.replaceMaterial(material.wss);
  }

  /** Accepts no more connections. Those that are not passed to the session layer yet are closed. */
  stopListening(): void {
    this.#listening = false;
    this.#deps.gate.close();
    this.#mqtts.stopListening();
    this.#wss.stopListening();
    this.#upgrade.close();
  }

  /** Closes both ports and all remaining connections. */
  async close(): Promise<void> {
    this.stopListening();
    await Promise.all([this.#mqtts.close(), this.#wss.close()]);
  }

  #listener(
    name: PortName,
    port: number,
    alpn: readonly string[],
    material: PortMaterial,
  ): TlsListener {
    const { clock, gate, events, proxies } = this.#deps;
    const { host, reusePort, handshakeTimeoutMs } = this.#options;
    return new TlsListener({ host, port, alpn, handshakeTimeoutMs, reusePort }, material[name], {
      clock,
      gate,
      events,
      proxies,
      secured: (socket, handshake) => this.#deps.secured(name, socket, handshake),
    });
  }
}
