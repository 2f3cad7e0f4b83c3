/**
 * The two ports for devices: MQTT over TLS, and MQTT over WebSocket over TLS.
 *
 * @module
 */
import type { TLSSocket } from 'node:tls';
import type { Clock } from '../../core/clock.ts';
import type { Config } from '../../core/config/config.ts';
import type { Admitter } from '../admission/admitter.ts';
import type { TlsMaterial } from '../certificates/tls-material.ts';
import type { Identity } from '../contracts/identity.ts';
import type { HandshakeGate } from './handshake-gate.ts';
import { StreamWire } from './stream-wire.ts';
import { TlsListener, type ListenerEvents } from './tls-listener.ts';
import { WebSocketUpgrade, type UpgradeEvents } from './websocket-upgrade.ts';

export interface DevicePortsDeps {
  readonly config: Config;
  readonly clock: Clock;
  readonly material: TlsMaterial;
  readonly gate: HandshakeGate;
  readonly admitter: Admitter;
  readonly events: ListenerEvents;
  readonly upgradeEvents: UpgradeEvents;
}

/** The address that a port is bound to. */
export interface PortAddress {
  readonly host: string;
  readonly port: number;
}

export class DevicePorts {
  readonly #deps: DevicePortsDeps;
  readonly #upgrade: WebSocketUpgrade;
  readonly #mqtts: TlsListener;
  readonly #wss: TlsListener;
  #listening = false;

  constructor(deps: DevicePortsDeps) {
    const { config, clock, admitter, upgradeEvents } = deps;
    const { packetMaxBytes, connectTimeoutMs } = config.limits.broker;
    this.#deps = deps;
    this.#upgrade = new WebSocketUpgrade(
      { packetMaxBytes, upgradeTimeoutMs: connectTimeoutMs },
      { clock, admitter, events: upgradeEvents },
    );
    const { mqttsPort, wssPort } = config.broker;
    this.#mqtts = this.#listener(mqttsPort, ['mqtt', 'x-amzn-mqtt-ca'], (socket, identity) =>
      admitter.accept(new StreamWire(socket), identity),
    );
    this.#wss = this.#listener(wssPort, ['http/1.1'], (socket, identity) =>
      this.#upgrade.take(socket, identity),
    );
  }

  /** Whether both ports are open. */
  get listening(): boolean {
    return this.#listening;
  }

  /** @throws FlotillaError `address-in-use`, `start-failed` */
  async listen(): Promise<{ readonly mqtts: PortAddress; readonly wss: PortAddress }> {
    const addresses = { mqtts: await this.#mqtts.listen(), wss: await this.#wss.listen() };
    this.#listening = true;
    return addresses;
  }

  /** Uses other certificates for new connections. Live connections are not affected. */
  replaceMaterial(material: TlsMaterial): void {
    this.#mqtts.replaceMaterial(material);
    this.#wss.replaceMaterial(material);
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
    port: number,
    alpn: readonly string[],
    accept: (socket: TLSSocket, identity: Identity) => void,
  ): TlsListener {
    const { config, clock, material, gate, admitter, events } = this.#deps;
    const { host, proxies } = config;
    const { handshakeTimeoutMs } = config.limits.broker;
    return new TlsListener({ host, port, alpn, handshakeTimeoutMs, proxies }, material, {
      clock,
      gate,
      events,
      admitter,
      accept,
    });
  }
}
