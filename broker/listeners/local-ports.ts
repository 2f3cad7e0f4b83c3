/**
 * The ports for devices, with TLS in the thread of the session layer.
 *
 * @module
 */
import type { TLSSocket } from 'node:tls';
import { X509Certificate } from 'node:crypto';
import { tlsFactsOf } from '../admission/tls-facts.ts';
import type { TlsMaterial } from '../certificates/tls-material.ts';
import {
  DevicePorts,
  type DeviceAddresses,
  type PortMaterial,
  type PortName,
} from './device-ports.ts';
import { portsOptions, type BrokerPorts, type EntranceDeps } from './entrance.ts';
import { HandshakeGate } from './handshake-gate.ts';
import { StreamWire } from './stream-wire.ts';
import type { Handshake } from './tls-listener.ts';

export class LocalPorts implements BrokerPorts {
  readonly fronts = [];
  readonly frontsRunning = 0;
  readonly frontRestarts = 0;
  readonly #deps: EntranceDeps;
  readonly #ports: DevicePorts;
  #authorities: readonly X509Certificate[];

  constructor(deps: EntranceDeps) {
    const { config, clock, material, quota, events } = deps;
    this.#deps = deps;
    this.#authorities = authoritiesOf(material);
    this.#ports = new DevicePorts(portsOptions(config, false), portMaterialOf(material), {
      clock,
      events,
      proxies: () => config.proxies,
      gate: new HandshakeGate({
        clock,
        places: quota,
        handshakeTimeoutMs: config.limits.broker.handshakeTimeoutMs,
        events,
      }),
      secured: (port, socket, handshake) => this.#secured(port, socket, handshake),
    });
  }

  get listening(): boolean {
    return this.#ports.listening;
  }

  listen(): Promise<DeviceAddresses> {
    return this.#ports.listen();
  }

  replaceMaterial(material: TlsMaterial): void {
    this.#authorities = authoritiesOf(material);
    this.#ports.replaceMaterial(portMaterialOf(material));
  }

  settingsChanged(): void {
    // They are read for each connection.
  }

  stopListening(): void {
    this.#deps.quota.close();
    this.#ports.stopListening();
  }

  close(): Promise<void> {
    return this.#ports.close();
  }

  #secured(port: PortName, socket: TLSSocket, { resumed, durationMs }: Handshake): void {
    const { admitter, events, quota, upgradeEvents } = this.#deps;
    events.handshake(resumed ? 'resumed' : 'full', durationMs);
    const identity = admitter.admit(tlsFactsOf(socket, this.#authorities));
    if (identity === undefined) {
      socket.destroy();
      return;
    }
    quota.admitted(identity.remoteAddress);
    if (port === 'mqtts') {
      admitter.accept(new StreamWire(socket), identity);
      return;
    }
    this.#ports.upgrade(socket, {
      upgraded: (stream) => admitter.acceptUpgraded(new StreamWire(stream), identity),
      refused: (code, detail) => upgradeEvents.refused(identity, code, detail),
      closed: () => admitter.release(),
    });
  }
}

/** Each port has keys for session tickets of its own, from the cluster or, by default, those that its listener makes. */
function portMaterialOf(material: TlsMaterial): PortMaterial {
  const { sharedTicketKeys: keys } = material;
  if (keys === undefined) return { mqtts: material, wss: material };
  return {
    mqtts: { ...material, ticketKeys: keys('mqtts') },
    wss: { ...material, ticketKeys: keys('wss') },
  };
}

function authoritiesOf({ authorities }: TlsMaterial): readonly X509Certificate[] {
  return authorities.map((pem) => new X509Certificate(pem));
}
