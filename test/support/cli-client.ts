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
  /** With key.pem, chain.pem and ca.pem. */
  readonly folder: string;
  readonly address: { readonly host: string; readonly port: number };
  /** Keeps the session for an hour; else it is clean. */
  readonly keep?: boolean;
  /** Attached before the connection is made: what waits in a session comes with the CONNACK. */
  readonly onMessage?: (topic: string, payload: string) => void;
}

/**
 * Connects over MQTT 5.0, and never again by itself; ended with the test. Rejects when the door stays
 * shut, whichever way it is shut.
 */
export function connectWith(t: ExecutionContext, options: ClientOptions): Promise<MqttClient> {
  const { id, folder, address, keep = false, onMessage = () => undefined } = options;
  const read = (name: string): Buffer => readFileSync(join(folder, name));
  const client = connect({
    ...{ protocol: 'mqtts', ...address, clientId: id, protocolVersion: 5 },
    ...{ reconnectPeriod: 0, connectTimeout: 5000 },
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
