/**
 * A whole fleet in the process of the test: the real enrollment service, the real broker with its feed,
 * and clients with addresses of their own, so that the refusals of each client can be found in the log and
 * in the audit log.
 *
 * @module
 */
import { readFile, writeFile } from 'node:fs/promises';
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls';
import type { ExecutionContext } from 'ava';
import { connectAsync, type IClientOptions, type MqttClient } from 'mqtt';
import { DirectoryFile } from '../../broker/feed/directory-file.ts';
import { startBroker, type BrokerService } from '../../broker/broker-service.ts';
import { Authority } from '../../certs/authority.ts';
import { decryptPrivateKey } from '../../certs/encrypted-key.ts';
import { generateKeySync, privateKeyPem } from '../../certs/key.ts';
import { createCsr } from '../../certs/csr.ts';
import { systemClock, type Clock } from '../../core/clock.ts';
import type { ConfigInput } from '../../core/config/config.ts';
import type { DirectoryEntry } from '../../core/protocol/feed.ts';
import { issuedSchema } from '../../core/protocol/enrollment-api.ts';
import type { AuditLine } from '../../enroll/audit/audit-event.ts';
import { tailAudit } from '../../enroll/audit/audit-reader.ts';
import {
  enrollService,
  type Credential,
  type ServiceOptions,
  type TestService,
} from './enroll-service.ts';
import { captureLog, type LogCapture } from './log-capture.ts';
import { until } from './until.ts';

export interface FleetOptions {
  readonly config?: ConfigInput;
  readonly policy?: string;
  /** Clock of the enrollment service only. The broker uses the time that TLS uses. */
  readonly enrollClock?: Clock;
  readonly simulationRunner?: ServiceOptions['simulationRunner'];
}

/** A certificate and its key, as node:tls and MQTT.js accept them. */
export type Shown = Pick<Credential, 'cert' | 'key'>;

export interface FleetWorld {
  /** Replaced by a test that starts it again. */
  enroll: TestService;
  /** The log of the broker. */
  readonly capture: LogCapture;
  broker: BrokerService;
  /** The issuer of the fleet, including its key. */
  readonly issuer: Authority;
  /** Enrolls a device and waits until the broker accepts it. */
  readonly device: (id: string, profile?: string) => Promise<Shown>;
  /** Creates the certificate of a backend. */
  readonly backend: (id: string) => Promise<Shown>;
  /** Waits until the directory of the broker has an entry with these properties. */
  readonly inForce: (id: string, wanted: (entry: DirectoryEntry) => boolean) => Promise<void>;
  readonly mqtt: (shown: Shown, options: IClientOptions, from?: string) => Promise<MqttClient>;
  readonly tls: (
    shown: Shown | undefined,
    from: string,
    options?: ConnectionOptions,
  ) => Promise<TLSSocket>;
  /** Every line of the audit log, parsed. */
  readonly audit: () => Promise<AuditLine[]>;
  /** The sum of a metric over all label sets that have these labels. */
  readonly metric: (name: string, labels?: Readonly<Record<string, string>>) => Promise<number>;
  readonly restartBroker: () => Promise<void>;
}

/** Starts both services. They are closed at the end of the test. */
export async function fleetWorld(
  t: Pick<ExecutionContext, 'teardown'>,
  options: FleetOptions = {},
): Promise<FleetWorld> {
  const cleanups: (() => Promise<void> | void)[] = [];
  const enroll = await enrollService(
    { teardown: (cleanup) => void cleanups.unshift(cleanup) },
    {
      ...(options.config === undefined ? {} : { config: options.config }),
      ...(options.enrollClock === undefined ? {} : { clock: options.enrollClock }),
      ...(options.simulationRunner === undefined
        ? {}
        : { simulationRunner: options.simulationRunner }),
    },
  );
  const { state, ca } = enroll;
  if (options.policy !== undefined) await writeFile(state.policy, options.policy);
  const capture = captureLog('debug');
  const config = {
    ...enroll.config,
    broker: {
      ...enroll.config.broker,
      mqttsPort: 0,
      wssPort: 0,
      metricsPort: 0,
      store: 'memory' as const,
    },
  };
  const startOne = (enrollUrl = enroll.url): Promise<BrokerService> =>
    startBroker(config, { state, enrollUrl, log: capture.log });
  const passphrase = (await readFile(state.ca.passphrase, 'utf8')).trim();
  const issuer = new Authority({
    key: decryptPrivateKey(await readFile(state.ca.issuerKey, 'utf8'), passphrase),
    certificate: await readFile(state.ca.issuerCert, 'utf8'),
    clock: systemClock,
  });
  const clients: MqttClient[] = [];
  const sockets: TLSSocket[] = [];
  const world: FleetWorld = {
    enroll,
    capture,
    issuer,
    broker: await startOne(),
    async device(id, profile) {
      const key = generateKeySync('p256');
      const { token } = await world.enroll.token(id, profile === undefined ? {} : { profile });
      const csr = createCsr({ key, commonName: id });
      const issued = issuedSchema.parse((await world.enroll.enroll(id, csr.pem, token)).body);
      await world.inForce(id, ({ certificates }) =>
        certificates.some(({ serial }) => serial === issued.serial),
      );
      return { cert: issued.chain, key: privateKeyPem(key) };
    },
    async backend(id) {
      const key = generateKeySync('p256');
      const csr = createCsr({ key, commonName: id }).pem;
      const { body } = await world.enroll.asAdmin('POST', '/v1/services', {
        name: id,
        role: 'service',
        csr,
      });
      await world.inForce(id, () => true);
      return { cert: issuedSchema.parse(body).chain, key: privateKeyPem(key) };
    },
    async inForce(id, wanted) {
      await until(`${id} is in force`, async () => {
        const stored = await new DirectoryFile(state.broker.directory).read();
        const entry = stored?.entries.get(id);
        return entry !== undefined && wanted(entry);
      });
    },
    async mqtt(shown, more, from = '127.0.0.1') {
      const { host, port } = world.broker.addresses.mqtts;
      const all = {
        servername: 'localhost',
        ca,
        ...shown,
        reconnectPeriod: 0,
        connectTimeout: 60_000,
        localAddress: from,
        ...more,
      };
      const client = await connectAsync(`mqtts://${host}:${port}`, all, false);
      client.on('error', () => undefined);
      clients.push(client);
      return client;
    },
    tls(shown, from, more = {}) {
      return new Promise((resolve, reject) => {
        const { host, port } = world.broker.addresses.mqtts;
        const all = { host, port, servername: 'localhost', ca, localAddress: from };
        const socket = connectTls({ ...all, ...shown, ...more });
        sockets.push(socket);
        socket.once('secureConnect', () => resolve(socket));
        socket.once('error', reject);
      });
    },
    audit: () => tailAudit(state.enroll.audit, 100_000),
    async metric(name, labels = {}) {
      const text = await (await fetch(`${world.broker.addresses.metrics.url}/metrics`)).text();
      const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
      return text
        .split('\n')
        .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
        .filter((line) => wanted.every((label) => line.includes(label)))
        .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
    },
    async restartBroker() {
      await world.broker.close();
      world.broker = await startOne(world.enroll.url);
    },
  };
  t.teardown(async () => {
    for (const client of clients) client.end(true);
    for (const socket of sockets) socket.destroy();
    await world.broker.close();
    for (const cleanup of cleanups) await cleanup();
  });
  return world;
}
