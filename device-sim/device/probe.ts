/**
 * One connection, to see whether a certificate is let in: what `flotilla device renew` does before
 * it trusts the new one.
 *
 * @module
 */
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { LinkError } from './link.ts';
import { MqttJsLink } from './mqttjs-link.ts';

export interface ProbeOptions {
  readonly host: string;
  readonly port: number;
  /** PEM of what is trusted. */
  readonly ca: string;
  /** Certificate chain and key, PEM. */
  readonly cert: string;
  readonly key: string;
  /**
   * Not the id of a session that matters: MQTT allows one connection for each, and this one is clean.
   */
  readonly clientId: string;
  /** From TCP to CONNACK; 10 s unless told. */
  readonly timeoutMs?: number;
}

/**
 * Connects with MQTT.js and a clean session, and disconnects again. Resolves when the certificate was
 * let in: CONNACK said yes, or refused no more than the client id, which is read after the certificate.
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

/** The error of the catalogue that a failed connection stands for. */
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
