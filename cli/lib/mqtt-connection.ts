/**
 * One MQTT connection with the identity of a folder, for `flotilla pub` and `flotilla sub`.
 *
 * @module
 */
import { join } from 'node:path';
import { readFile } from 'node:fs/promises';
import { connect, type MqttClient } from 'mqtt';
import { readCertificate } from '../../certs/certificate.ts';
import { visible } from '../../core/escape.ts';
import { FlotillaError, messageOf } from '../../core/errors/flotilla-error.ts';
import { loadIdentity } from '../../core/identity-folder.ts';
import { stateFolder } from '../../core/state-folder.ts';
import type { StateOptions } from './command-context.ts';
import { readOrigin, serviceUrl } from './enrollment-origin.ts';
import { hostPort, reachable } from './host-port.ts';
import { readBrokerRun } from './run-file.ts';

export interface ConnectionOptions extends StateOptions {
  /** The folder of the identity, as `device enroll` and `service create` write it. */
  readonly dir: string;
  /** `host:port` of the broker. */
  readonly mqtts?: string;
  /** The client id; the name in the certificate by default. */
  readonly id?: string;
}

const connectTimeoutMs = 20_000;
const portUsual = 8883;

/**
 * Connects over MQTT 5.0, and never again by itself.
 *
 * @throws FlotillaError `identity-unreadable`, `certificate-cn-…`, `broker-not-running`, `broker-unreachable`,
 *   `service-name-mismatch`, `broker-untrusted`, `broker-refused`, `broker-answer-invalid`
 */
export async function openConnection(options: ConnectionOptions): Promise<MqttClient> {
  const identity = await loadIdentity(options.dir);
  const { host, port } = await brokerAddress(options);
  const { commonName } = readCertificate(identity.cert);
  if (!commonName.ok) throw new FlotillaError(commonName.code, { detail: options.dir });
  const client = connect({
    ...{
      protocol: 'mqtts',
      host,
      port,
      protocolVersion: 5,
      clientId: options.id ?? commonName.id,
    },
    ...{ reconnectPeriod: 0, connectTimeout: connectTimeoutMs },
    ...{ ca: identity.ca, cert: identity.chain, key: identity.key, minVersion: 'TLSv1.2' },
    // Explicit, because NODE_TLS_REJECT_UNAUTHORIZED=0 would change the default.
    rejectUnauthorized: true,
  });
  try {
    await new Promise<void>((resolve, reject) => {
      client.once('connect', () => resolve());
      client.once('error', reject);
      client.once('close', () => reject(closedEarly()));
    });
    return client;
  } catch (error) {
    client.on('error', () => undefined);
    client.end(true);
    throw connectionError(error, `${host}:${port}`);
  }
}

/** Resolves when the connection ends, with an error unless the program ended it. */
export function connectionLost(client: MqttClient): Promise<FlotillaError> {
  return new Promise((resolve) => {
    let reason = '';
    client.on('disconnect', ({ reasonCode = 0, properties }) => {
      reason = `reason 0x${reasonCode.toString(16)} ${visible(properties?.reasonString ?? '', 200)}`;
    });
    client.on('error', (error) => (reason = messageOf(error)));
    client.once('close', () =>
      resolve(
        new FlotillaError('broker-connection-lost', { detail: reason.trim() || 'no reason' }),
      ),
    );
  });
}

async function brokerAddress(options: ConnectionOptions): Promise<{ host: string; port: number }> {
  if (options.mqtts !== undefined) {
    return hostPort(options.mqtts.replace(/^mqtts:\/\//, ''), portUsual);
  }
  const run = await readBrokerRun(stateFolder(options.state));
  if (run !== undefined) return { host: reachable(run.mqtts.host), port: run.mqtts.port };
  // On a device: usually the broker has the name of the enrollment service.
  try {
    const text = await readFile(join(options.dir, 'enrollment.json'), 'utf8');
    const origin = readOrigin(text);
    if (origin.mqtts !== undefined) return hostPort(origin.mqtts, portUsual);
    const { hostname } = new URL(serviceUrl(undefined, origin));
    return { host: hostname.replace(/^\[|\]$/g, ''), port: portUsual };
  } catch (error) {
    throw new FlotillaError('broker-not-running', { detail: options.state, cause: error });
  }
}

const untrusted =
  /^(?:CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|INVALID_(?:CA|PURPOSE)|PATH_LENGTH_)/;

function connectionError(error: unknown, address: string): FlotillaError {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  const name = typeof code === 'string' ? code : '';
  const options = { detail: `${address}: ${visible(messageOf(error), 300)}`, cause: error };
  if (name === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return new FlotillaError('service-name-mismatch', options);
  }
  if (untrusted.test(name)) return new FlotillaError('broker-untrusted', options);
  if (isNoMqtt(error, code))
    return new FlotillaError('broker-answer-invalid', { ...options, detail: address });
  // A number is the reason code of a CONNACK; an alert or a closed connection is a refusal before it.
  if (typeof code === 'number' || /ALERT|ECONNRESET|EPIPE|closed-early/.test(name)) {
    return new FlotillaError('broker-refused', options);
  }
  return new FlotillaError('broker-unreachable', options);
}

function closedEarly(): Error {
  return Object.assign(new Error('the broker closed the connection'), { code: 'closed-early' });
}

/** Another protocol than TLS, or below TLS another than MQTT: the parser's errors have no code. */
function isNoMqtt(error: unknown, code: unknown): boolean {
  const text = messageOf(error);
  if (code === undefined) return text !== 'connack timeout';
  return /wrong version number|packet length too long|unknown protocol/.test(text);
}
