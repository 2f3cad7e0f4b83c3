/**
 * A fleet in one process whose clock a file moves (libfaketime): service, broker and devices with real sockets. It goes
 * through two changes of the root, the end of the first root, a stolen issuer and a restored backup, and prints one line of JSON for each
 * step: `node ca-generations-process.ts STATE CLOCK-FILE`.
 *
 * A device here uses only what it has stored (key, chain, ca) and what the protocols give it.
 *
 * @module
 */
import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { connectAsync } from 'mqtt';
import { startBroker, type BrokerService } from '../../broker/broker-service.ts';
import { readCertificate, splitPem } from '../../certs/certificate.ts';
import { createCsr } from '../../certs/csr.ts';
import { generateKeySync, privateKeyPem } from '../../certs/key.ts';
import { parseCertsOnly } from '../../certs/pkcs7.ts';
import { createLog } from '../../core/log.ts';
import { issuedSchema } from '../../core/protocol/enrollment-api.ts';
import { reconcileSchema } from '../../core/protocol/reconcile-api.ts';
import { callHttps, fetchPinnedCa } from '../../core/protocol/https-client.ts';
import { stateFolder } from '../../core/state-folder.ts';
import { enrollServiceOn, type Reply, type TestService } from './enroll-service.ts';
import { until } from './until.ts';

const [root = '', clockFile = ''] = process.argv.slice(2);
const state = stateFolder(root);
const log = createLog({ level: 'error' });
const yearMs = 365.25 * 86_400_000;
const realStartMs = Date.now();

interface Device {
  readonly id: string;
  key: string;
  chain: string;
  ca: string;
}

let enroll = await startEnrollment();
let broker = await startOneBroker();

/** Stops the services, sets the clock to `years` after the start, and starts them again. */
async function at(years: number, whileStopped?: () => Promise<void>): Promise<void> {
  await broker.close();
  await enroll.service.close();
  await whileStopped?.();
  await writeFile(clockFile, `+${Math.round((years * yearMs) / 1000)}\n`);
  enroll = await startEnrollment();
  broker = await startOneBroker();
}

function startEnrollment(): Promise<TestService> {
  return enrollServiceOn({ teardown: () => undefined }, state, {
    log,
    config: {
      enroll: {
        certificateValidity: '3000d',
        serverCertificateValidity: '3000d',
        renewGrace: '365d',
        renewWithdrawn: true,
      },
    },
  });
}

function startOneBroker(): Promise<BrokerService> {
  const ports = { mqttsPort: 0, wssPort: 0, metricsPort: 0, store: 'memory' as const };
  const config = { ...enroll.config, broker: { ...enroll.config.broker, ...ports } };
  return startBroker(config, { state, enrollUrl: enroll.url, log });
}

async function operator(
  method: 'GET' | 'POST' | 'DELETE',
  path: string,
  body = {},
): Promise<Reply> {
  const reply = await enroll.asAdmin(method, path, method === 'POST' ? body : undefined);
  if (reply.status >= 300) throw new Error(`${method} ${path}: ${JSON.stringify(reply.body)}`);
  return reply;
}

/** A new device, with the fingerprint that a person wrote down. */
async function enrolled(id: string, fingerprint: string): Promise<Device> {
  const { token } = await enroll.token(id);
  const { ca } = await fetchPinnedCa(enroll.url, fingerprint);
  const key = generateKeySync('p256');
  const body = { device: id, csr: createCsr({ key, commonName: id }).pem };
  const url = `${enroll.url}/v1/enroll`;
  const answer = await callHttps({ method: 'POST', url, ca, bearer: token, body });
  const issued = issuedSchema.parse(JSON.parse(answer.body.toString()));
  return { id, key: privateKeyPem(key), chain: issued.chain, ca: issued.ca };
}

/** Renews as `flotilla device renew` does. */
async function renewOverJson(device: Device): Promise<void> {
  const key = generateKeySync('p256');
  const answer = await callHttps({
    method: 'POST',
    url: `${enroll.url}/v1/renew`,
    ...{ ca: device.ca, cert: device.chain, key: device.key },
    body: { csr: createCsr({ key, commonName: device.id }).pem },
  });
  if (answer.status >= 300) throw new Error(`${device.id}: ${answer.body.toString()}`);
  const issued = issuedSchema.parse(JSON.parse(answer.body.toString()));
  Object.assign(device, { key: privateKeyPem(key), chain: issued.chain, ca: issued.ca });
}

/** Renews as an EST client does: simplereenroll, then cacerts (RFC 7030, 4.1.3). */
async function renewOverEst(device: Device): Promise<void> {
  const est = `${enroll.url}/.well-known/est`;
  const key = generateKeySync('p256');
  const reenrolled = await callHttps({
    method: 'POST',
    url: `${est}/simplereenroll`,
    ...{ ca: device.ca, cert: device.chain, key: device.key },
    headers: { 'content-type': 'application/pkcs10' },
    body: createCsr({ key, commonName: device.id }).der.toString('base64'),
  });
  const fetched = await callHttps({ method: 'GET', url: `${est}/cacerts`, ca: device.ca });
  const [leaf] = certificatesOf(reenrolled.body);
  const authorities = certificatesOf(fetched.body);
  if (leaf === undefined) throw new Error(`${device.id}: ${reenrolled.body.toString()}`);
  const issuer = authorities.find((one) => leaf.x509.checkIssued(one.x509));
  device.key = privateKeyPem(key);
  device.chain = leaf.pem + (issuer?.pem ?? '');
  device.ca = authorities.map(({ pem }) => pem).join('');
}

function certificatesOf(body: Buffer): ReturnType<typeof readCertificate>[] {
  return parseCertsOnly(Buffer.from(body.toString(), 'base64')).map((der) => readCertificate(der));
}

/** Connects to the broker and publishes, with what the device has stored. */
async function publishes(device: Device): Promise<void> {
  const { port } = broker.addresses.mqtts;
  // The feed may not have brought the certificate yet.
  const client = await until(`${device.id} connects`, () =>
    connectAsync(
      `mqtts://localhost:${port}`,
      {
        ...{ ca: device.ca, cert: device.chain, key: device.key },
        ...{ clientId: device.id, reconnectPeriod: 0, connectTimeout: 60_000 },
      },
      false,
    ).catch(() => undefined),
  );
  await client.publishAsync(`devices/${device.id}/x`, 'x', { qos: 1 });
  await client.endAsync();
}

function step(name: string, facts: object = {}): void {
  const years = Math.round(((Date.now() - realStartMs) / yearMs) * 10) / 10;
  process.stdout.write(`${JSON.stringify({ step: name, years, ...facts })}\n`);
}

async function allPublish(name: string, devices: readonly Device[]): Promise<void> {
  const connected: string[] = [];
  for (const device of devices) {
    await publishes(device);
    connected.push(device.id);
  }
  step(name, { connected });
}

const rootsOf = ({ ca }: Device): number =>
  splitPem(ca).filter((pem) => readCertificate(pem).x509.subject.includes('Root CA')).length;

const first = enroll.service.ca.fingerprint;
const json = await enrolled('json', first);
const est = await enrolled('est', first);
await allPublish('first root', [json, est]);

for (const years of [7, 14]) {
  await at(years);
  // An issuer ends after 12 years: the service replaces it 30 days before, an operator earlier.
  await operator('POST', '/v1/issuers');
  await renewOverJson(json);
  await renewOverEst(est);
}
await allPublish('the issuer of the beginning has ended', [json, est]);

await at(20);
const second = String((await operator('POST', '/v1/roots')).body['fingerprint']);
await allPublish('second root, nobody has renewed', [json, est]);
const late = await enrolled('old-label', first);
const fresh = await enrolled('new-label', second);
await allPublish('new devices with the old and the new fingerprint', [late, fresh]);
await renewOverJson(json);
await renewOverEst(est);
step('both roots are known', { roots: [json, est, late, fresh].map(rootsOf) });
await at(25.5);
await allPublish('the first root has ended', [json, est, late, fresh]);
await operator('DELETE', `/v1/roots/${first}`);
for (const device of [json, late, fresh]) await renewOverJson(device);
await renewOverEst(est);
await allPublish('the first root is retired', [json, est, late, fresh]);

await at(30);
const stolen = readCertificate(await readFile(state.ca.issuerCert, 'utf8')).fingerprint;
const withdrawn = await operator('POST', `/v1/issuers/${stolen}/withdraw`, { compromised: true });
step('stolen issuer', { certificates: withdrawn.body['certificates'] });
for (const device of [json, late, fresh]) await renewOverJson(device);
await renewOverEst(est);
await allPublish('the stolen issuer is withdrawn', [json, est, late, fresh]);

const backup = `${root}.backup`;
const { folder: enrollFolder } = state.enroll;
const copied = { recursive: true, verbatimSymlinks: true };
await at(37, () => cp(enrollFolder, backup, copied));
await operator('POST', '/v1/issuers');
for (const device of [json, est, late, fresh]) await renewOverJson(device);
await allPublish('all have renewed since the backup', [json, est, late, fresh]);
// The registry and the audit log of the backup; the keys of the CA are those of today.
await at(37.1, async () => {
  await rm(enrollFolder, { recursive: true });
  await cp(backup, enrollFolder, copied);
});
const found = await until('the broker knows more', async () => {
  const { body } = await enroll.asAdmin('GET', '/v1/reconcile');
  const parsed = reconcileSchema.safeParse(body);
  return parsed.success && parsed.data.brokers.length > 0 ? parsed.data : undefined;
});
const expected = found.differences.length;
await operator('POST', '/v1/reconcile', { action: 'apply', adopt: true, expected });
step('reconciled', { devices: found.differences.map(({ device }) => device) });
await allPublish('the backup is restored', [json, est, late, fresh]);
for (const device of [json, late, fresh]) await renewOverJson(device);
await renewOverEst(est);
await at(42);
await operator('POST', '/v1/roots');
await allPublish('third root, nobody has renewed', [json, est, late, fresh]);
for (const device of [json, late, fresh]) await renewOverJson(device);
await renewOverEst(est);
await at(46);
await allPublish('the second root has ended', [json, est, late, fresh]);
await broker.close();
await enroll.service.close();
