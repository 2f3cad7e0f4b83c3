import test from 'ava';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import { createServer } from 'node:tls';
import { connectAsync } from 'mqtt';
import { Authority } from '../../certs/authority.ts';
import { readCertificate } from '../../certs/certificate.ts';
import { decryptPrivateKey } from '../../certs/encrypted-key.ts';
import { generateKeySync, privateKeyPem, spkiOf } from '../../certs/key.ts';
import { subjectNamesOf } from '../../certs/subject-names.ts';
import { systemClock } from '../../core/clock.ts';
import { callHttps, enrollmentServerName } from '../../core/protocol/https-client.ts';
import { issuerFolder } from '../../enroll/ca/ca-folder.ts';
import { runChild } from '../support/child.ts';
import { debianTool } from '../support/debian-tool.ts';
import { enrollService, type TestService } from '../support/enroll-service.ts';
import { tempFolder } from '../support/temp-folder.ts';

/** The certificate and key of a server that a thief makes with the stolen key of an issuer. */
async function forgedServer(
  { state }: TestService,
  issuerPem: string,
  keyPem: string,
): Promise<{ cert: string; key: string }> {
  const passphrase = (await readFile(state.ca.passphrase, 'utf8')).trim();
  const thief = new Authority({
    key: decryptPrivateKey(keyPem, passphrase),
    certificate: issuerPem,
    clock: systemClock,
  });
  const key = generateKeySync('p256');
  const forged = thief.issue({
    spki: spkiOf(key),
    profile: 'server',
    commonName: enrollmentServerName,
    names: subjectNamesOf(['localhost', '127.0.0.1']),
    validityMs: 86_400_000,
  });
  return { cert: forged.pem + issuerPem, key: privateKeyPem(key) };
}

test('a thief with the key of the issuer of devices cannot pose as a broker or as the enrollment service', async (t) => {
  const mosquitto = debianTool(t, 'mosquitto_pub');
  if (mosquitto === undefined) return;
  const service = await enrollService(t);
  const { state } = service;
  const device = await service.device('v-1');
  const forged = await forgedServer(
    service,
    await readFile(state.ca.issuerCert, 'utf8'),
    await readFile(state.ca.issuerKey, 'utf8'),
  );
  const received: Buffer[] = [];
  const sockets: Socket[] = [];
  const server = createServer({ ...forged, requestCert: true, rejectUnauthorized: false }, (peer) =>
    peer.on('data', (data: Buffer) => {
      received.push(data);
      // CONNACK: a client that trusts this server would publish now.
      peer.write(Buffer.from('20020000', 'hex'));
    }),
  );
  server.on('connection', (socket) => sockets.push(socket));
  server.on('tlsClientError', () => undefined);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;

  const folder = join(tempFolder(t), 'v-1');
  await mkdir(folder);
  const { ca } = device.issued;
  await writeFile(join(folder, 'ca.pem'), ca);
  await writeFile(join(folder, 'cert.pem'), device.credential.cert);
  await writeFile(join(folder, 'key.pem'), device.credential.key, { mode: 0o600 });
  const published = await runChild(t, mosquitto, [
    ...['-h', 'localhost', '-p', String(port), '-i', 'v-1', '-t', 'devices/v-1/x', '-m', 'secret'],
    ...['--cafile', join(folder, 'ca.pem')],
    ...['--cert', join(folder, 'cert.pem'), '--key', join(folder, 'key.pem')],
  ]);
  t.not(published.code, 0, 'mosquitto_pub does not connect');
  await t.throwsAsync(
    connectAsync(`mqtts://localhost:${port}`, { ca, ...device.credential, reconnectPeriod: 0 }),
  );
  await t.throwsAsync(
    callHttps({ method: 'GET', url: `https://localhost:${port}/v1/ca`, ca, ...device.credential }),
    { code: 'service-untrusted' },
  );
  t.deepEqual(received, [], 'no client sent anything');

  // The same certificate of the issuer of services is accepted: it is the usage that the clients check.
  const services = await issuerOfServices(service);
  server.setSecureContext(await forgedServer(service, services.cert, services.key));
  const client = await connectAsync(`mqtts://localhost:${port}`, {
    ...{ ca, ...device.credential, protocolVersion: 4, reconnectPeriod: 0 },
  });
  client.end(true);
  t.is(received.length, 1);
});

async function issuerOfServices({ state }: TestService): Promise<{ cert: string; key: string }> {
  const cert = await readFile(state.ca.serviceCert, 'utf8');
  const { fingerprint } = readCertificate(cert);
  const key = await readFile(join(issuerFolder(state, fingerprint), 'key.pem'), 'utf8');
  return { cert, key };
}
