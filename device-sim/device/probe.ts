/**
 * Tests whether a broker accepts a certificate. `flotilla device renew` does this before it uses the new
 * certificate.
 *
 * @module
 */
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { LinkError } from './link.ts';
import { MqttJsLink } from './mqttjs-link.ts';

export interface ProbeOptions {
  readonly host: string;
  readonly port: number;
  /** PEM of the trusted certificates. */
  readonly ca: string;
  /** Certificate chain and key, PEM. */
  readonly cert: string;
  readonly key: string;
  /** Must not be the id of a session in use: this connection would end it and clear its state. */
  readonly clientId: string;
  /** From TCP to CONNACK (default: 10 s). */
  readonly timeoutMs?: number;
}

/**
 * Connects with MQTT.js and a clean session, and disconnects. Resolves when the broker accepted the
 * certificate: the CONNACK reports success or rejects only the client id, which brokers check later.
 *
 * @throws FlotillaError `sim-target-unreachable`, `sim-target-untrusted`, or `sim-target-refused` with
 *   the reason: a TLS alert, a CONNACK code, or a connection closed before CONNACK
 */
export async function probeConnection(options: ProbeOptions): Promise<void> {
  const { host, port, ca, cert, key, clientId, timeoutMs = 10_000 } = options;
  const link = new MqttJsLink(
    {
      clientId,
      mqtt: '3.1.1',
      kept: false,
      sessionExpirySeconds: 0,
      keepAliveSeconds: 30,
      connectTimeoutMs: timeoutMs,
    },
    { message: () => undefined, closed: () => undefined },
  );
  try {
    await link.connect({ host, port, ca, identity: { key, chain: cert } });
  } catch (error) {
    if (!(error instanceof LinkError)) throw error;
    if (error.reason === 'connack-client-id-rejected') return;
    throw targetError(`${host}:${port}`, error);
  }
  await link.end();
}

/** The catalogue error for a failed connection. */
export function targetError(where: string, failure: LinkError): FlotillaError {
  const { reason, detail } = failure;
  const code =
    reason === 'tls-untrusted'
      ? 'sim-target-untrusted'
      : /^(?:tcp-|name-|timeout|ports-|files-)/.test(reason)
        ? 'sim-target-unreachable'
        : 'sim-target-refused';
  return new FlotillaError(code, { detail: `${where}: ${reason} (${detail})`, cause: failure });
}
