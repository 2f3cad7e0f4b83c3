/**
 * Devices that are servers as well, for programs that trust the issuer of such devices: OPC UA, HTTPS in a plant.
 */
import test, { type ExecutionContext } from 'ava';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { connectAsync } from 'mqtt';
import { readCertificate, splitPem } from '../../certs/certificate.ts';
import { createCsr } from '../../certs/csr.ts';
import { generateKeySync, privateKeyPem, type KeyType } from '../../certs/key.ts';
import { oids } from '../../certs/oids.ts';
import { parseCertsOnly } from '../../certs/pkcs7.ts';
import { withdrawnIssuerSchema } from '../../core/protocol/ca-status.ts';
import {
  deviceSchema,
  deviceServersSchema,
  issuedSchema,
  type Issued,
} from '../../core/protocol/enrollment-api.ts';
import { identityFiles } from '../../core/state-folder.ts';
import { opensslFor } from '../support/certs-openssl.ts';
import { runChild } from '../support/child.ts';
import { debianTool } from '../support/debian-tool.ts';
import { replyOf, type Credential, type TestService } from '../support/enroll-service.ts';
import { fleetWorld } from '../support/fleet-world.ts';

/** `hub` is a name of the services, and so no device may have it. */
const config = {
  names: ['hub.plant.example', '10.20.0.9'],
  enroll: {
    profiles: {
      machine: {
        serverNames: {
          dns: ['{id}.plant.example', 'line-*.plant.example', 'gateway.example'],
          ip: ['10.20.0.0/16', 'fd00:20::/32'],
          uri: ['urn:plant.example:{id}:*', 'https://{id}.plant.example/*'],
        },
      },
    },
  },
};

interface ServerDevice {
  readonly issued: Issued;
  readonly shown: Credential;
}

function request(
  id: string,
  names: readonly string[],
  keyType: KeyType = 'p256',
): { csr: string; key: string } {
  const key = generateKeySync(keyType);
  return { csr: createCsr({ key, commonName: id, names }).pem, key: privateKeyPem(key) };
}

async function enrolled(
  service: TestService,
  id: string,
  names: readonly string[],
  keyType?: KeyType,
): Promise<ServerDevice> {
  const { token } = await service.token(id, { profile: 'machine' });
  const { csr, key } = request(id, names, keyType);
  const issued = issuedSchema.parse((await service.enroll(id, csr, token)).body);
  return { issued, shown: { cert: issued.chain, key } };
}

async function rootOf(service: TestService): Promise<string> {
  const answer = await service.call({ method: 'GET', path: '/v1/device-servers' });
  return deviceServersSchema.parse(JSON.parse(answer.body.toString())).ca;
}

/** A server that a client may connect to; it counts the clients that have accepted it. */
async function serverOf(t: ExecutionContext, shown: Credential) {
  const accepted: string[] = [];
  const sockets: TLSSocket[] = [];
  const server = createServer(
    { ...shown, requestCert: true, rejectUnauthorized: false },
    (peer) => {
      sockets.push(peer);
      peer.on('error', () => undefined);
      peer.on('data', (data: Buffer) => {
        accepted.push(data.toString('latin1'));
        // CONNACK: a client of MQTT that trusts this server would publish now.
        peer.write(Buffer.from('20020000', 'hex'));
      });
    },
  );
  server.on('tlsClientError', () => undefined);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, accepted };
}

test('a profile lets a device be a server for programs that trust the root of such devices, and a client of the brokers', async (t) => {
  const openssl = opensslFor(t);
  if (openssl === undefined) return;
  const world = await fleetWorld(t, { config });
  const { enroll } = world;
  const names = [
    'm-1.plant.example',
    'line-7.plant.example',
    '10.20.0.7',
    'urn:plant.example:m-1:ua',
  ];
  const device = await enrolled(enroll, 'm-1', names, 'rsa2048');
  const facts = readCertificate(device.issued.certificate);
  t.deepEqual(facts.names, {
    dns: names.slice(0, 2),
    ip: ['10.20.0.7'],
    uri: ['urn:plant.example:m-1:ua'],
  });
  t.deepEqual([...facts.extendedKeyUsage].sort(), [oids.serverAuth, oids.clientAuth].sort());
  const root = await rootOf(enroll);
  const at = openssl.file('root.pem', root);
  const cert = openssl.file('cert.pem', device.issued.certificate);
  const verify = (...args: string[]) => openssl.run('verify', '-x509_strict', ...args, cert);
  const right = await verify('-CAfile', at, '-purpose', 'sslserver', '-verify_hostname', names[0]!);
  t.is(right.code, 0, right.stderr);
  t.is((await verify('-CAfile', at, '-purpose', 'sslclient', '-verify_ip', '10.20.0.7')).code, 0);
  t.not((await verify('-CAfile', openssl.file('ca.pem', device.issued.ca))).code, 0);
  const text = await openssl.run('x509', '-noout', '-ext', 'keyUsage', '-in', cert);
  t.regex(text.stdout, /Digital Signature, Non Repudiation, Key Encipherment, Data Encipherment/);

  const { port } = await serverOf(t, device.shown);
  const client = connect({ port, host: '127.0.0.1', ca: root, servername: names[0] });
  await once(client, 'secureConnect');
  client.destroy();

  await world.inForce('m-1', () => true);
  const mqtt = await world.mqtt(device.shown, { clientId: 'm-1' });
  t.true(mqtt.connected, 'the broker accepts it as a client');

  const shownDevice = deviceSchema.parse((await enroll.asAdmin('GET', '/v1/devices/m-1')).body);
  t.deepEqual(shownDevice.certificates[0]?.names, [...names].sort());
  await revoked(t, world.enroll, { openssl, root: at, cert });
});

/** The list of the issuer of these devices has the certificate, and openssl refuses it. */
async function revoked(
  t: ExecutionContext,
  service: TestService,
  {
    openssl,
    root,
    cert,
  }: { openssl: NonNullable<ReturnType<typeof opensslFor>>; root: string; cert: string },
): Promise<void> {
  const { fingerprint } = readCertificate(await readFile(root, 'utf8'));
  const path = `/crl/${fingerprint.slice('sha256:'.length, 'sha256:'.length + 16)}.pem`;
  const checked = async (name: string) => {
    const { body } = await service.call({ method: 'GET', path });
    const list = openssl.file(name, body);
    return openssl.run('verify', '-CAfile', root, '-crl_check_all', '-CRLfile', list, cert);
  };
  const before = await checked('before.crl.pem');
  t.is(before.code, 0, before.stderr);
  t.is((await service.asAdmin('POST', '/v1/devices/m-1/revoke', {})).status, 200);
  t.regex((await checked('after.crl.pem')).stderr, /certificate revoked/);
}

test('a device that is a server cannot pose as a broker or as the enrollment service, whatever name it has', async (t) => {
  const mosquitto = debianTool(t, 'mosquitto_pub');
  const openssl = opensslFor(t);
  if (mosquitto === undefined || openssl === undefined) return;
  const { enroll } = await fleetWorld(t, { config });
  const { state } = enroll;
  const thief = await enrolled(enroll, 'm-1', ['gateway.example']);
  const victim = await enrolled(enroll, 'm-2', ['m-2.plant.example']);
  const root = await rootOf(enroll);
  const issuer = readCertificate(root);
  t.is(splitPem(root).length, 1);
  t.false(thief.issued.chain.includes(root), 'a root is not part of a chain');

  // Nothing that a device, a service or an administrator gets contains this root.
  const published = await enroll.call({ method: 'GET', path: '/v1/ca' });
  const cacerts = await enroll.call({ method: 'GET', path: '/.well-known/est/cacerts' });
  const bundles = [
    thief.issued.ca,
    (JSON.parse(published.body.toString()) as { ca: string }).ca,
    ...(await Promise.all(
      [state.admin, state.broker.identity].map((one) => readFile(identityFiles(one).ca, 'utf8')),
    )),
  ];
  const all = [
    ...bundles.flatMap(splitPem).map((pem) => readCertificate(pem).fingerprint),
    ...parseCertsOnly(Buffer.from(cacerts.body.toString(), 'base64')).map(
      (der) => readCertificate(der).fingerprint,
    ),
  ];
  t.false(all.includes(issuer.fingerprint));

  // The clients do not even compare the name of the server, and they get the whole chain.
  const { port, accepted } = await serverOf(t, { ...thief.shown, cert: thief.shown.cert + root });
  const published1 = await runChild(t, mosquitto, [
    ...['-h', '127.0.0.1', '-p', String(port), '-i', 'm-2', '-t', 'devices/m-2/x', '-m', 'secret'],
    ...['--cafile', openssl.file('ca.pem', victim.issued.ca), '--insecure'],
    ...['--cert', openssl.file('cert.pem', victim.shown.cert)],
    ...['--key', openssl.file('key.pem', victim.shown.key)],
  ]);
  t.not(published1.code, 0, 'mosquitto_pub does not connect');
  const anyName = { servername: 'gateway.example', checkServerIdentity: () => undefined };
  for (const ca of [victim.issued.ca, bundles[2]!, bundles[3]!]) {
    await t.throwsAsync(
      connectAsync(`mqtts://127.0.0.1:${port}`, {
        ...{ ca, ...victim.shown, ...anyName, reconnectPeriod: 0 },
      }),
      { code: 'SELF_SIGNED_CERT_IN_CHAIN' },
    );
  }
  t.deepEqual(accepted, [], 'no client sent anything');

  // The same server is accepted by a program that trusts the root of such devices.
  const plant = connect({ port, host: '127.0.0.1', ca: root, servername: 'gateway.example' });
  await once(plant, 'secureConnect');
  plant.destroy();
});

test('names of the services, of other devices and outside the profile are refused; the token stays good, and renewals keep or change names', async (t) => {
  const world = await fleetWorld(t, { config });
  const { enroll } = world;
  const code = ({ status, body }: { status: number; body: Readonly<Record<string, unknown>> }) =>
    `${status} ${String(body['code'])}`;
  const { token } = await enroll.token('hub', { profile: 'machine' });
  for (const name of [
    'hub.plant.example',
    'localhost',
    'x.localhost',
    '127.0.0.1',
    '127.1.2.3',
    '::1',
    '10.20.0.9',
    '10.21.0.1',
    'm-2.plant.example',
    'a.line-7.plant.example',
    'plant.example',
    'urn:plant.example:hub:',
    'urn:plant.example:m-2:ua',
    'https://hub.plant.example/ua',
  ]) {
    const reply = await enroll.enroll('hub', request('hub', [name]).csr, token);
    t.is(code(reply), '400 server-name-refused', name);
  }
  const both = await enroll.enroll('hub', request('hub', ['10.20.0.1', 'localhost']).csr, token);
  t.is(code(both), '400 server-name-refused', 'one name of several is enough');
  t.is(code(await enroll.enroll('hub', request('m-1', []).csr, token)), '400 csr-name-mismatch');
  const usual = await enroll.token('p-1');
  const elsewhere = await enroll.enroll('p-1', request('p-1', ['10.20.0.1']).csr, usual.token);
  t.is(code(elsewhere), '400 csr-name-mismatch', 'another profile allows no names');
  const own = issuedSchema.parse(
    (await enroll.enroll('hub', request('hub', ['hub']).csr, token)).body,
  );
  t.deepEqual(readCertificate(own.certificate).names.dns, [], 'as clients name themselves');

  const first = await enrolled(enroll, 'm-1', ['10.20.0.7']);
  const renew = async (shown: Credential, names: readonly string[]) => {
    const { csr, key } = request('m-1', names);
    const answer = await enroll.call({
      method: 'POST',
      path: '/v1/renew',
      body: { csr },
      ...shown,
    });
    return { reply: replyOf(answer), key };
  };
  const kept = await renew(first.shown, []);
  const second = issuedSchema.parse(kept.reply.body);
  t.deepEqual(readCertificate(second.certificate).names.ip, ['10.20.0.7']);
  const shown = { cert: second.chain, key: kept.key };
  t.is(code((await renew(shown, ['10.21.0.1'])).reply), '400 server-name-refused');
  await overEst(t, enroll, shown);
  const moved = await renew(shown, ['10.20.0.8']);
  const third = issuedSchema.parse(moved.reply.body);
  t.deepEqual(readCertificate(third.certificate).names.ip, ['10.20.0.8']);
  await overMqtt(t, enroll, third, moved.key);
  await withdrawn(t, enroll, third);
});

test('a device cannot have a name of a broker or of another server, and loses one that a broker gets later', async (t) => {
  const { enroll } = await fleetWorld(t, { config });
  const created = async (name: string, role: string, names: readonly string[]) => {
    const { csr } = request(name, []);
    const reply = await enroll.asAdmin('POST', '/v1/services', { name, role, names, csr });
    t.is(reply.status, 201, JSON.stringify(reply.body));
  };
  const refusal = async (id: string, name: string): Promise<string> => {
    const { token } = await enroll.token(id, { profile: 'machine' });
    const { status, body } = await enroll.enroll(id, request(id, [name]).csr, token);
    return `${status} ${String(body['code'])} ${String(body['detail'])}`;
  };
  const reserved = '400 server-name-refused "NAME": it is a name of the services';
  await created('broker-b', 'broker', ['line-1.plant.example', '10.20.0.2']);
  for (const name of ['line-1.plant.example', '10.20.0.2']) {
    t.is(await refusal('m-1', name), reserved.replace('NAME', name));
  }
  const kept = ['line-2.plant.example', '10.20.0.3'];
  const device = await enrolled(enroll, 'm-2', kept);
  // The names are known already; this identity is new.
  await created('proxy', 'server', ['line-2.plant.example']);
  t.is(await refusal('m-3', 'line-2.plant.example'), reserved.replace('NAME', kept[0]!));
  const { csr } = request('m-2', []);
  const renewal = { method: 'POST', path: '/v1/renew', body: { csr }, ...device.shown } as const;
  const next = issuedSchema.parse(replyOf(await enroll.call(renewal)).body);
  const { names } = readCertificate(next.certificate);
  t.deepEqual([names.dns, names.ip], [[], ['10.20.0.3']]);

  t.is((await enroll.asAdmin('POST', '/v1/devices/broker-b/revoke', {})).status, 200);
  t.is((await enroll.asAdmin('DELETE', '/v1/devices/proxy')).status, 200);
  await enrolled(enroll, 'm-4', ['line-1.plant.example', 'line-2.plant.example']);
});

/** RFC 7030, 4.2.2: the names are those of the current certificate. */
async function overEst(t: ExecutionContext, enroll: TestService, shown: Credential): Promise<void> {
  const reenroll = (names: readonly string[]) =>
    enroll.call({
      method: 'POST',
      path: '/.well-known/est/simplereenroll',
      headers: { 'content-type': 'application/pkcs10' },
      body: request('m-1', names).csr,
      ...shown,
    });
  t.is((await reenroll(['10.20.0.8'])).status, 400);
  const same = await reenroll(['10.20.0.7']);
  t.is(same.status, 200, same.body.toString());
  const [der = Buffer.alloc(0)] = parseCertsOnly(Buffer.from(same.body.toString(), 'base64'));
  t.deepEqual(readCertificate(der).names.ip, ['10.20.0.7']);
  // RFC 9908: the device fills in subjectAltName.
  const attributes = async (label: string): Promise<string> =>
    (
      await enroll.call({ method: 'GET', path: `/.well-known/est/${label}csrattrs` })
    ).body.toString();
  const blank = Buffer.from('0603551d11', 'hex');
  t.true(Buffer.from(await attributes('machine/'), 'base64').includes(blank));
  t.false(Buffer.from(await attributes(''), 'base64').includes(blank));
}

/** The registry knows the names, because a broker could relay others. */
async function overMqtt(
  t: ExecutionContext,
  enroll: TestService,
  current: Issued,
  key: string,
): Promise<void> {
  const { serial, fingerprint } = readCertificate(current.certificate);
  const csr = createCsr({ key: createPrivateKey(key), commonName: 'm-1' }).pem;
  const answer = await enroll.call({
    method: 'POST',
    path: '/v1/relay/renew',
    ...enroll.broker,
    body: { device: 'm-1', serial, fingerprint, csr, remoteAddress: '10.0.0.1' },
  });
  const { certificate } = issuedSchema.parse(replyOf(answer).body);
  t.deepEqual(readCertificate(certificate).names.ip, ['10.20.0.8']);
}

/** Another issuer of such devices takes over, and brokers refuse certificates of the former one. */
async function withdrawn(t: ExecutionContext, enroll: TestService, current: Issued): Promise<void> {
  const before = readCertificate(await rootOf(enroll));
  const path = `/v1/issuers/${encodeURIComponent(before.fingerprint)}/withdraw`;
  const { body } = await enroll.asAdmin('POST', path, { compromised: true });
  const done = withdrawnIssuerSchema.parse(body);
  const after = readCertificate(await rootOf(enroll));
  t.deepEqual(done.replacements, [after.fingerprint]);
  const { certificates } = deviceSchema.parse(
    (await enroll.asAdmin('GET', '/v1/devices/m-1')).body,
  );
  const { serial } = readCertificate(current.certificate);
  t.is(certificates.find((one) => one.serial === serial)?.status, 'withdrawn');
  const next = await enrolled(enroll, 'm-3', ['m-3.plant.example']);
  t.true(new X509Certificate(next.issued.certificate).checkIssued(after.x509));
}
