/**
 * How connections enter the broker: the ports for devices, with TLS in this thread (`local-ports.ts`) or
 * in other threads (`fronts/front-ports.ts`).
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';
import type { Config } from '../../core/config/config.ts';
import type { ErrorCode } from '../../core/errors/catalogue.ts';
import type { Admitter } from '../admission/admitter.ts';
import type { TlsMaterial } from '../certificates/tls-material.ts';
import type { Identity } from '../contracts/identity.ts';
import type { DeviceAddresses, DevicePortsOptions } from './device-ports.ts';
import type { FrontLoad } from '../contracts/front-load.ts';
import type { HandshakeQuota } from './handshake-quota.ts';
import type { ListenerEvents } from './tls-listener.ts';

/** Handshakes, for the log and the metrics. */
export interface EntranceEvents extends ListenerEvents {
  handshake(outcome: 'full' | 'resumed', durationMs: number): void;
}

export interface UpgradeEvents {
  /** The request of this client was not a valid upgrade to WebSocket. */
  refused(identity: Identity, code: ErrorCode, detail: string): void;
}

export interface EntranceDeps {
  readonly config: Config;
  readonly clock: Clock;
  readonly material: TlsMaterial;
  readonly quota: HandshakeQuota;
  readonly admitter: Admitter;
  readonly events: EntranceEvents;
  readonly upgradeEvents: UpgradeEvents;
}

export interface BrokerPorts {
  /** Whether both ports are open. */
  readonly listening: boolean;
  /** The threads that do TLS, by number; empty if the thread of the sessions does it. */
  readonly fronts: readonly FrontLoad[];
  /** How many of them run, and how often one was started again. */
  readonly frontsRunning: number;
  readonly frontRestarts: number;
  /** @throws FlotillaError `address-in-use`, `start-failed` */
  listen(): Promise<DeviceAddresses>;
  /**
   * Uses other certificates for new connections. Live connections are not affected.
   *
   * @throws when OpenSSL rejects the certificates; the previous ones stay in use
   */
  replaceMaterial(material: TlsMaterial): void;
  /** Settings of the configuration have changed: those that can be used without a restart are, for new connections. */
  settingsChanged(): void;
  /** Accepts no more connections. Those that are not passed to the session layer yet are closed. */
  stopListening(): void;
  /** Closes both ports and all remaining connections. */
  close(): Promise<void>;
}

/** @param reusePort whether other threads listen on the same ports */
export function portsOptions(
  { host, broker, limits }: Config,
  reusePort: boolean,
): DevicePortsOptions {
  const { handshakeTimeoutMs, connectTimeoutMs, packetMaxBytes } = limits.broker;
  const { mqttsPort, wssPort, wssOrigins } = broker;
  return {
    host,
    mqttsPort,
    wssPort,
    wssOrigins,
    handshakeTimeoutMs,
    connectTimeoutMs,
    packetMaxBytes,
    reusePort,
  };
}
