/**
 * One MQTT.js client with the files of an identity, for tests of the command line.
 *
 * @module
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { connect, type MqttClient } from 'mqtt';

export interface ClientOptions {
  readonly id: string;
  /** The folder with key.pem, chain.pem and ca.pem. */
  readonly folder: string;
  readonly address: { readonly host: string; readonly port: number };
  /** Keeps the session for an hour (default: a clean session). */
  readonly keep?: boolean;
  /** Attached before the connection is opened: queued messages arrive directly after the CONNACK. */
  readonly onMessage?: (topic: string, payload: string) => void;
}

/**
 * Connects over MQTT 5.0, without automatic reconnects; closed at the end of the test. Rejects when the
 * connection is refused in any way.
 */
export function connectWith(t: ExecutionContext, options: ClientOptions): Promise<MqttClient> {
  const { id, folder, address, keep = false, onMessage = () => undefined } = options;
  const read = (name: string): Buffer => readFileSync(join(folder, name));
  const client = connect({
    ...{ protocol: 'mqtts', ...address, clientId: id, protocolVersion: 5 },
    ...{ reconnectPeriod: 0, connectTimeout: 60_000 },
    ...{ ca: read('ca.pem'), cert: read('chain.pem'), key: read('key.pem') },
    ...(keep ? { clean: false, properties: { sessionExpiryInterval: 3600 } } : {}),
  });
  t.teardown(() => client.endAsync(true).catch(() => undefined));
  client.on('message', (topic, payload) => onMessage(topic, payload.toString()));
  return new Promise((resolve, reject) => {
    client.on('error', reject);
    client.once('close', () => reject(new Error(`${id} was closed before it connected`)));
    client.once('connect', () => resolve(client));
  });
}
