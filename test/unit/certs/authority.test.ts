import { generateKeyPairSync } from 'node:crypto';
import test from 'ava';
import { Authority, backdateMs, createRoot } from '../../../certs/authority.ts';
import { readCertificate } from '../../../certs/certificate.ts';
import { systemClock } from '../../../core/clock.ts';
import { generateKeySync, spkiOf } from '../../../certs/key.ts';
import { oids } from '../../../certs/oids.ts';
import type { CertificateProfile } from '../../../certs/profile.ts';
import { subjectNamesOf } from '../../../certs/subject-names.ts';
import { X509Certificate as PeculiarCertificate } from '../../support/certs-peculiar.ts';
import { opensslFor } from '../../support/certs-openssl.ts';
import { dayMs, keyFor, quickKeyTypes, world } from '../../support/certs-world.ts';
import { fakeClock } from '../../support/fake-clock.ts';

const validityMs = 30 * dayMs;

for (const caType of quickKeyTypes) {
  test(`a ${caType} CA issues certificates that openssl verifies strictly, for every type of subject key`, async (t) => {
    const openssl = opensslFor(t);
    if (openssl === undefined) return;
    const { root, issuer } = await world(caType, {
      urls: { crl: 'http://pki.example/crl', ocsp: 'http://pki.example/ocsp' },
    });
    const rootFile = openssl.file('root.pem', root.certificate.pem);
    const issuerFile = openssl.file('issuer.pem', issuer.certificate.pem);
    for (const type of quickKeyTypes) {
      const names = subjectNamesOf(['gateway.example', '192.0.2.7', '2001:db8::7', 'urn:dev:7']);
      const leaf = issuer.issue({
        spki: spkiOf(await keyFor(type, 'subject')),
        profile: 'broker',
        commonName: 'gateway-7',
        names,
        validityMs,
      });
      const leafFile = openssl.file(`${type}.pem`, leaf.pem);
      for (const purpose of ['sslclient', 'sslserver']) {
        const args = ['-purpose', purpose, '-CAfile', rootFile, '-untrusted', issuerFile, leafFile];
        const { code, stdout, stderr } = await openssl.run('verify', '-x509_strict', ...args);
        t.is(code, 0, `${type} ${purpose}: ${stdout}${stderr}`);
      }
      const host = ['-verify_hostname', 'gateway.example', '-verify_ip', '2001:db8::7'];
      const named = await openssl.run(
        'verify',
        ...host,
        '-CAfile',
        rootFile,
        '-untrusted',
        issuerFile,
        leafFile,
      );
      t.is(named.code, 0, named.stderr);
    }
  });
}

test('larger RSA keys and CAs work, too', async (t) => {
  const openssl = opensslFor(t);
  if (openssl === undefined) return;
  const clock = systemClock;
  const key = await keyFor('rsa3072', 'root');
  const root = createRoot({ commonName: 'RSA root', validityMs: 100 * dayMs, key, clock });
  const authority = new Authority({ key, certificate: root.pem, clock });
  const subject = await keyFor('rsa4096', 'subject');
  const leaf = authority.issue({
    spki: spkiOf(subject),
    profile: 'device',
    commonName: 'dev-1',
    validityMs,
  });
  const rootFile = openssl.file('root.pem', root.pem);
  const leafFile = openssl.file('leaf.pem', leaf.pem);
  const { code, stderr } = await openssl.run(
    'verify',
    '-x509_strict',
    '-CAfile',
    rootFile,
    leafFile,
  );
  t.is(code, 0, stderr);
});

test('each profile has its key usages and no others', async (t) => {
  const openssl = opensslFor(t);
  if (openssl === undefined) return;
  const { root, issuer } = await world();
  const rootFile = openssl.file('root.pem', root.certificate.pem);
  const issuerFile = openssl.file('issuer.pem', issuer.certificate.pem);
  const expected: [CertificateProfile, boolean, boolean][] = [
    ['device', true, false],
    ['service', true, false],
    ['admin', true, false],
    ['server', false, true],
    ['broker', true, true],
    ['ocsp', false, false],
  ];
  const spki = spkiOf(await keyFor('p256', 'subject'));
  for (const [profile, client, server] of expected) {
    const leaf = issuer.issue({ spki, profile, commonName: 'some-one', validityMs });
    const file = openssl.file(`${profile}.pem`, leaf.pem);
    for (const [purpose, allowed] of [
      ['sslclient', client],
      ['sslserver', server],
    ] as const) {
      const args = ['-CAfile', rootFile, '-untrusted', issuerFile, file];
      const { code } = await openssl.run('verify', '-x509_strict', '-purpose', purpose, ...args);
      t.is(code === 0, allowed, `${profile} as ${purpose}`);
    }
    t.false(readCertificate(leaf.der).isCa);
  }
});

test('an issuer cannot issue for a CA, and a leaf cannot issue at all', async (t) => {
  const openssl = opensslFor(t);
  if (openssl === undefined) return;
  const { root, issuer, clock } = await world();
  const key = generateKeySync('p256');
  const below = issuer.issue({
    spki: spkiOf(key),
    profile: 'issuer',
    commonName: 'Third',
    validityMs,
  });
  const third = new Authority({ key, certificate: below.pem, clock });
  const leaf = third.issue({
    spki: spkiOf(await keyFor('p256', 'subject')),
    profile: 'device',
    commonName: 'dev-1',
    validityMs,
  });
  const rootFile = openssl.file('root.pem', root.certificate.pem);
  const between = openssl.file('between.pem', issuer.certificate.pem + below.pem);
  const leafFile = openssl.file('leaf.pem', leaf.pem);
  const { code, stdout, stderr } = await openssl.run(
    'verify',
    '-CAfile',
    rootFile,
    '-untrusted',
    between,
    leafFile,
  );
  t.not(code, 0);
  t.regex(stdout + stderr, /path length/);
  const deviceKey = generateKeySync('p256');
  const device = issuer.issue({
    spki: spkiOf(deviceKey),
    profile: 'device',
    commonName: 'd',
    validityMs,
  });
  t.throws(() => new Authority({ key: deviceKey, certificate: device.pem, clock }), {
    code: 'ca-certificate-invalid',
  });
});

test('a certificate ends no later than its issuer, begins five minutes in the past, and has whole seconds', async (t) => {
  const clock = fakeClock(Date.UTC(2026, 0, 2, 3, 4, 5, 678));
  const { issuer } = await world('p256', { clock });
  const spki = spkiOf(await keyFor('p256', 'subject'));
  clock.advance(3600_000);
  const short = issuer.issue({ spki, profile: 'device', commonName: 'd', validityMs: dayMs });
  t.is(short.notBeforeMs, Date.UTC(2026, 0, 2, 3, 59, 5));
  t.is(short.notBeforeMs, Math.floor((clock.now() - backdateMs) / 1000) * 1000);
  t.is(short.notAfterMs, Date.UTC(2026, 0, 3, 4, 4, 5));
  const facts = readCertificate(short.pem);
  t.is(facts.notBeforeMs, short.notBeforeMs);
  t.is(facts.notAfterMs, short.notAfterMs);
  const long = issuer.issue({ spki, profile: 'device', commonName: 'd', validityMs: 9999 * dayMs });
  t.is(long.notAfterMs, issuer.certificate.notAfterMs);
  const early = issuer.issue({
    spki,
    profile: 'device',
    commonName: 'd',
    validityMs: dayMs,
    notBeforeMs: 0,
  });
  t.is(early.notBeforeMs, issuer.certificate.notBeforeMs);
  clock.advance(issuer.certificate.notAfterMs - clock.now());
  t.throws(() => issuer.issue({ spki, profile: 'device', commonName: 'd', validityMs: dayMs }), {
    code: 'ca-expired',
  });
});

test('dates from 2050 on are encoded as GeneralizedTime', async (t) => {
  const openssl = opensslFor(t);
  if (openssl === undefined) return;
  const clock = fakeClock(Date.UTC(2048, 5, 1));
  const key = await keyFor('p256', 'root');
  const root = createRoot({ commonName: 'Old root', validityMs: 3650 * dayMs, key, clock });
  t.is(readCertificate(root.der).notAfterMs, Date.UTC(2048, 5, 1) + 3650 * dayMs);
  const file = openssl.file('root.pem', root.pem);
  const { stdout } = await openssl.run('x509', '-in', file, '-noout', '-dates');
  t.is(stdout, 'notBefore=May 31 23:55:00 2048 GMT\nnotAfter=May 30 00:00:00 2058 GMT\n');
});

test('an issued certificate has the requested contents, also for a second library', async (t) => {
  const { issuer } = await world('p384', {
    urls: { crl: 'http://a.example/crl', ocsp: 'http://a.example/o' },
  });
  const spki = spkiOf(await keyFor('ed25519', 'subject'));
  const names = subjectNamesOf(['a.example', '10.1.2.3', 'urn:x:1']);
  const issued = issuer.issue({
    spki,
    profile: 'broker',
    commonName: 'Broker_1',
    names,
    validityMs,
  });
  const facts = readCertificate(issued.pem);
  t.deepEqual(facts.der, issued.der);
  t.is(facts.serial, issued.serial);
  t.is(facts.fingerprint, issued.fingerprint);
  t.is(facts.keyFingerprint, issued.keyFingerprint);
  t.deepEqual(facts.spki, spki);
  t.deepEqual(facts.commonName, { ok: true, id: 'Broker_1' as never });
  t.deepEqual(facts.names, names);
  t.deepEqual(facts.extendedKeyUsage, [oids.clientAuth, oids.serverAuth]);
  t.deepEqual(facts.issuer, issuer.certificate.subject);
  t.true(facts.x509.verify(issuer.certificate.x509.publicKey));
  t.regex(issued.serial, /^[4-7][0-9a-f]{31}$/);

  const other = new PeculiarCertificate(issued.der);
  t.is(other.serialNumber, issued.serial);
  t.is(other.subject, 'CN=Broker_1');
  t.is(other.issuer, 'CN=Test issuer');
  t.is(other.notAfter.getTime(), issued.notAfterMs);
  t.true(
    await other.verify({
      publicKey: new PeculiarCertificate(issuer.certificate.der).publicKey,
      signatureOnly: true,
    }),
  );
});

test('serial numbers do not repeat', async (t) => {
  const { issuer } = await world();
  const spki = spkiOf(await keyFor('p256', 'subject'));
  const serials = new Set<string>();
  for (let i = 0; i < 200; i++) {
    serials.add(issuer.issue({ spki, profile: 'device', commonName: 'd', validityMs }).serial);
  }
  t.is(serials.size, 200);
});

test('a given serial number is used unchanged if it is valid', async (t) => {
  const { issuer } = await world();
  const spki = spkiOf(await keyFor('p256', 'subject'));
  const issue = (serial: string): string =>
    readCertificate(
      issuer.issue({ spki, profile: 'device', commonName: 'd', validityMs, serial }).der,
    ).serial;
  t.is(issue('0102'), '0102');
  t.is(issue('ff'), 'ff');
  for (const serial of ['', '0', '00', 'zz', 'AB', 'ff'.repeat(20), '01'.repeat(21)]) {
    t.throws(() => issue(serial), { instanceOf: RangeError }, serial);
  }
});

test('an identity is at most as long as a common name of RFC 5280', async (t) => {
  const { issuer } = await world();
  const spki = spkiOf(await keyFor('p256', 'subject'));
  const issue = (commonName: string): string =>
    issuer.issue({ spki, profile: 'device', commonName, validityMs: dayMs }).pem;
  t.is(readCertificate(issue('x'.repeat(64))).x509.subject, `CN=${'x'.repeat(64)}`);
  for (const chars of [65, 128]) {
    t.throws(() => issue('x'.repeat(chars)), { code: 'device-id-too-long' });
  }
  t.throws(() => issue('x'.repeat(129)), { code: 'certificate-subject-invalid' });
});

test('a certificate for an invalid identity is not issued', async (t) => {
  const { issuer, root } = await world();
  const spki = spkiOf(await keyFor('p256', 'subject'));
  for (const commonName of [
    '',
    'a/b',
    'a+b',
    '#',
    '$SYS',
    'a b',
    'a\u0000b',
    'é',
    'x'.repeat(129),
    '-a',
  ]) {
    const error = { code: 'certificate-subject-invalid' };
    t.throws(() => issuer.issue({ spki, profile: 'device', commonName, validityMs }), error);
    t.throws(() => issuer.issue({ spki, profile: 'server', commonName, validityMs }), error);
  }
  for (const commonName of ['', 'x'.repeat(65), 'a\nb', 'a\u0000', '\ud800']) {
    t.throws(() => root.issue({ spki, profile: 'issuer', commonName, validityMs }), {
      code: 'certificate-subject-invalid',
    });
  }
});

test("no certificate is issued for the CA's own key or for an invalid key", async (t) => {
  const { issuer } = await world();
  const common = { profile: 'device', commonName: 'd', validityMs } as const;
  t.throws(() => issuer.issue({ ...common, spki: issuer.certificate.spki }), {
    code: 'csr-key-unsupported',
  });
  t.throws(() => issuer.issue({ ...common, spki: Buffer.from('3000', 'hex') }), {
    code: 'csr-malformed',
  });
  t.throws(() => issuer.issue({ ...common, spki: Buffer.alloc(0) }), { code: 'csr-malformed' });
  const small = generateKeyPairSync('rsa', { modulusLength: 2048, publicExponent: 3 }).publicKey;
  t.throws(() => issuer.issue({ ...common, spki: spkiOf(small) }), { code: 'csr-key-unsupported' });
});

test('a CA cannot be opened with a key of another certificate', async (t) => {
  const { issuer, clock } = await world();
  const key = generateKeySync('p256');
  t.throws(() => new Authority({ key, certificate: issuer.certificate.pem, clock }), {
    code: 'ca-key-mismatch',
  });
  t.throws(() => new Authority({ key, certificate: 'nonsense', clock }), {
    code: 'certificate-unreadable',
  });
});

test('two issuers can exist below one root', async (t) => {
  const openssl = opensslFor(t);
  if (openssl === undefined) return;
  const { root, issuer, clock } = await world();
  const key = generateKeySync('p256');
  // The same name intentionally: the key identifiers distinguish them.
  const second = new Authority({
    key,
    certificate: root.issue({
      spki: spkiOf(key),
      profile: 'issuer',
      commonName: 'Test issuer',
      validityMs: 1000 * dayMs,
    }).pem,
    clock,
  });
  const rootFile = openssl.file('root.pem', root.certificate.pem);
  const both = openssl.file('both.pem', issuer.certificate.pem + second.certificate.pem);
  for (const [index, authority] of [issuer, second].entries()) {
    const spki = spkiOf(await keyFor('p256', 'subject'));
    const leaf = authority.issue({ spki, profile: 'device', commonName: 'd', validityMs });
    const file = openssl.file(`leaf${index}.pem`, leaf.pem);
    const { code, stderr } = await openssl.run(
      'verify',
      '-x509_strict',
      '-CAfile',
      rootFile,
      '-untrusted',
      both,
      file,
    );
    t.is(code, 0, stderr);
  }
});
