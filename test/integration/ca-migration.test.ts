import test from 'ava';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Authority, createRoot } from '../../certs/authority.ts';
import { readCertificate, splitPem } from '../../certs/certificate.ts';
import { encryptPrivateKey } from '../../certs/encrypted-key.ts';
import { generateKeySync, spkiOf } from '../../certs/key.ts';
import { systemClock } from '../../core/clock.ts';
import { callHttps } from '../../core/protocol/https-client.ts';
import { stateFolder } from '../../core/state-folder.ts';
import { enrollServiceOn } from '../support/enroll-service.ts';
import { tempFolder } from '../support/temp-folder.ts';

const dayMs = 86_400_000;

test('an installation with one issuer for everything gets one for services, and its devices notice nothing', async (t) => {
  const state = stateFolder(join(tempFolder(t), 'state'));
  const { ca } = state;
  await mkdir(ca.folder, { recursive: true, mode: 0o700 });
  const [rootKey, issuerKey] = [generateKeySync('p256'), generateKeySync('p256')];
  const clock = systemClock;
  const commonName = 'Flotilla Root CA 01020304';
  const root = createRoot({ commonName, validityMs: 9000 * dayMs, key: rootKey, clock });
  const issuer = new Authority({ key: rootKey, certificate: root.pem, clock }).issue({
    spki: spkiOf(issuerKey),
    profile: 'issuer',
    commonName: 'Flotilla Issuing CA 2026-01020304',
    validityMs: 4000 * dayMs,
  });
  const secret = { mode: 0o600 };
  await writeFile(ca.passphrase, 'secret\n', secret);
  await writeFile(ca.rootCert, root.pem);
  await writeFile(ca.issuerCert, issuer.pem);
  await writeFile(ca.issuerKey, encryptPrivateKey(issuerKey, 'secret'), secret);
  const away = join(state.root, 'root.key.pem');
  await writeFile(away, encryptPrivateKey(rootKey, 'secret'), secret);

  // Without the key of the root, everything stays as it is.
  const before = await enrollServiceOn(t, state);
  const device = await before.device('d1');
  t.is(splitPem(device.issued.ca).length, 2);
  t.is(readCertificate(splitPem(device.issued.chain)[1]!).fingerprint, issuer.fingerprint);

  await rename(away, ca.rootKey);
  const after = await before.restart();
  const service = readCertificate(await readFile(ca.serviceCert, 'utf8'));
  t.true(service.x509.verify(readCertificate(root.pem).x509.publicKey));
  const server = readCertificate(await readFile(join(state.enroll.tls, 'cert.pem'), 'utf8'));
  t.true(server.x509.verify(service.x509.publicKey), 'the service has a certificate of it');
  const whoami = { method: 'GET', url: `${after.url}/v1/whoami` } as const;
  const answer = await callHttps({ ...whoami, ca: device.issued.ca, ...device.credential });
  t.is(answer.status, 200, 'the device with its files of before');
  const next = await after.device('d2');
  const signer = readCertificate(splitPem(next.issued.chain)[1]!);
  t.deepEqual(
    signer.extendedKeyUsage,
    ['1.3.6.1.5.5.7.3.2'],
    'its certificates are for clients only',
  );
  t.is(splitPem(next.issued.ca).length, 3, 'the root, the new issuer and the former one');
  // Nothing more happens at the next start.
  const again = await after.restart();
  t.is((await again.device('d3')).issued.ca, next.issued.ca);
});
