import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { createCsr, csrMaxBytes, parseCsr } from '../../../certs/csr.ts';
import { derNull, oid, sequence } from '../../../certs/der-encode.ts';
import { fingerprintOf, keyTypes, spkiOf } from '../../../certs/key.ts';
import { oids } from '../../../certs/oids.ts';
import { subjectNamesOf } from '../../../certs/subject-names.ts';
import { forgeRequest } from '../../support/certs-forge-request.ts';
import { Pkcs10CertificateRequest } from '../../support/certs-peculiar.ts';
import { opensslFor } from '../../support/certs-openssl.ts';
import { runChild } from '../../support/child.ts';
import { debianTool } from '../../support/debian-tool.ts';
import { tempFolder } from '../../support/temp-folder.ts';
import { dayMs, keyFor, quickKeyTypes, world } from '../../support/certs-world.ts';

const names = ['gw.example', '192.0.2.1', '2001:db8::1', 'urn:dev:1'];

for (const type of keyTypes) {
  test(`a request of a ${type} key is decoded unchanged, and openssl verifies it`, async (t) => {
    const key = await keyFor(type, 'subject');
    const { der, pem } = createCsr({ key, commonName: 'dev-1', names });
    const csr = parseCsr(pem);
    t.is(csr.commonName, 'dev-1');
    t.is(csr.keyType, type);
    t.deepEqual(csr.der, der);
    t.deepEqual(csr.spki, spkiOf(key));
    t.is(csr.keyFingerprint, fingerprintOf(spkiOf(key)));
    t.deepEqual(csr.names, subjectNamesOf(names));
    const openssl = opensslFor(t);
    if (openssl === undefined) return;
    const file = openssl.file('csr.pem', pem);
    const { code, stdout, stderr } = await openssl.run(
      'req',
      '-in',
      file,
      '-verify',
      '-noout',
      '-text',
    );
    t.is(code, 0, stderr);
    t.regex(stderr, /verify OK/);
    t.regex(stdout, /DNS:gw.example, URI:urn:dev:1, IP Address:192.0.2.1, IP Address:2001:DB8/);
  });
}

test('requests of openssl are accepted for every key type and hash', async (t) => {
  const openssl = opensslFor(t);
  if (openssl === undefined) return;
  const cases: [string[], string][] = [
    [['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'], 'p256'],
    [['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-sha512'], 'p256'],
    [['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384', '-sha384'], 'p384'],
    [['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384'], 'p384'],
    [['-newkey', 'ed25519'], 'ed25519'],
    [['-newkey', 'rsa:2048', '-sha384'], 'rsa2048'],
  ];
  for (const [index, [args, type]] of cases.entries()) {
    const out = openssl.path(`${index}.der`);
    const common = ['-nodes', '-keyout', openssl.path('key.pem'), '-outform', 'DER', '-out', out];
    const { code, stderr } = await openssl.run(
      'req',
      '-new',
      ...args,
      ...common,
      '-subj',
      '/C=DE/O=Example & Söhne/OU=x/CN=dev:7.a_b-c',
      '-utf8',
      '-addext',
      'subjectAltName=DNS:A.example,IP:10.0.0.1',
      '-addext',
      'keyUsage=critical,keyCertSign',
      '-addext',
      'basicConstraints=critical,CA:TRUE',
    );
    t.is(code, 0, stderr);
    const csr = parseCsr(readFileSync(out));
    t.is(csr.keyType, type as never);
    t.is(csr.commonName, 'dev:7.a_b-c');
    t.deepEqual(csr.names, { dns: ['a.example'], ip: ['10.0.0.1'], uri: [] });
    // It requests to be a CA, but the profile decides.
    const { issuer } = await world();
    const issued = issuer.issue({
      spki: csr.spki,
      profile: 'device',
      commonName: 'dev',
      validityMs: dayMs,
    });
    t.false(new X509Certificate(issued.pem).ca);
  }
});

test('requests of strongSwan are accepted, and it trusts the issued certificates', async (t) => {
  const pki = debianTool(t, 'pki');
  if (pki === undefined) return;
  const folder = tempFolder(t);
  const file = (name: string, content: string | Uint8Array): string => {
    writeFileSync(join(folder, name), content);
    return join(folder, name);
  };
  const { root, issuer } = await world();
  const ca = [
    '--cacert',
    file('root.pem', root.certificate.pem),
    '--ca',
    file('issuer.pem', issuer.certificate.pem),
  ];
  const kinds = [
    ['ecdsa', '256', 'p256'],
    ['ecdsa', '384', 'p384'],
    ['ed25519', '256', 'ed25519'],
    ['rsa', '2048', 'rsa2048'],
  ] as const;
  for (const [type, size, keyType] of kinds) {
    const made = await runChild(t, pki, [
      '--gen',
      '--type',
      type,
      '--size',
      size,
      '--outform',
      'pem',
    ]);
    const args = [
      '--in',
      file('key.pem', made.stdout),
      '--dn',
      'C=DE, O=Example, CN=dev-1',
      '--san',
      'gw.example',
      '--san',
      '10.0.0.1',
      '--password',
      'x',
    ];
    const request = await runChild(t, pki, [
      '--req',
      '--type',
      'priv',
      ...args,
      '--outform',
      'pem',
    ]);
    const csr = parseCsr(request.stdout);
    t.is(csr.keyType, keyType);
    t.is(csr.commonName, 'dev-1');
    t.deepEqual(csr.names, { dns: ['gw.example'], ip: ['10.0.0.1'], uri: [] });
    const { spki, names: asked } = csr;
    const leaf = issuer.issue({
      spki,
      profile: 'device',
      commonName: 'dev-1',
      names: asked,
      validityMs: dayMs,
    });
    const verified = await runChild(t, pki, [
      '--verify',
      '--in',
      file('leaf.pem', leaf.pem),
      ...ca,
    ]);
    t.is(verified.code, 0, verified.stderr);
  }
});

test('a second library verifies our requests, and we verify its requests', async (t) => {
  for (const type of quickKeyTypes) {
    const key = await keyFor(type, 'subject');
    const ours = new Pkcs10CertificateRequest(createCsr({ key, commonName: 'dev-1', names }).der);
    t.is(ours.subject, 'CN=dev-1');
    t.true(await ours.verify());
    // The library encodes its output again.
    t.is(parseCsr(ours.toString('pem')).commonName, 'dev-1');
  }
});

test('a request is accepted as DER, PEM or base64, with any line breaks, as text or bytes', async (t) => {
  const key = await keyFor('p256', 'subject');
  const { der, pem } = createCsr({ key, commonName: 'dev-1' });
  const base64 = der.toString('base64');
  const broken = (end: string): string => (base64.match(/.{1,76}/g) ?? []).join(end);
  const texts = [
    pem,
    pem.replaceAll('\n', '\r\n'),
    `\n\n  ${pem}\n\n`,
    pem.replaceAll('CERTIFICATE REQUEST', 'NEW CERTIFICATE REQUEST'),
    base64,
    `${base64}\n`,
    broken('\n'),
    broken('\r\n'),
    broken(' \t\r\n'),
    // RFC 7468, section 2: text before and behind the block, as `openssl req -text` writes it.
    `Certificate Request:\n    Data:\n        Version: 1 (0x0)\n${pem}`,
    `${pem}# made by hand\n`,
    `\uFEFF${pem}`,
    `\uFEFF${base64}`,
  ];
  for (const text of texts) {
    t.deepEqual(parseCsr(text).der, der);
    t.deepEqual(parseCsr(Buffer.from(text)).der, der);
  }
  t.deepEqual(parseCsr(der).der, der);
  t.deepEqual(parseCsr(new Uint8Array(der)).der, der);
});

test('a request without the set of attributes is accepted', async (t) => {
  const key = await keyFor('p256', 'subject');
  const request = parseCsr(forgeRequest({ key, attributesElement: Buffer.alloc(0) }));
  t.is(request.commonName, 'dev-1');
  t.deepEqual(request.names.dns, []);
});

test('anything but a request is rejected with its own error', async (t) => {
  const key = await keyFor('p256', 'subject');
  const { der, pem } = createCsr({ key, commonName: 'dev-1' });
  const { issuer } = await world();
  const malformed = { code: 'csr-malformed' };
  const inputs: (string | Uint8Array)[] = [
    '',
    ' ',
    'hello',
    '{"csr":1}',
    '-----BEGIN CERTIFICATE REQUEST-----',
    '-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----\n',
    pem.replace('-----END CERTIFICATE REQUEST-----', ''),
    pem.replace('-----END CERTIFICATE REQUEST-----', '-----END NEW CERTIFICATE REQUEST-----'),
    pem + pem,
    `preamble\n${pem.replace('-----BEGIN', '-----BEGINS')}`,
    `${pem}\n-----BEGIN NOTE-----\n`,
    pem.replaceAll('CERTIFICATE REQUEST', 'CERTIFICATE'),
    issuer.certificate.pem,
    issuer.certificate.der,
    der.toString('base64url').replace(/^M/, '-'),
    `${der.toString('base64')}*`,
    der.toString('base64').slice(0, -1),
    Buffer.alloc(0),
    Buffer.alloc(100),
    Buffer.alloc(100, 0x30),
    Buffer.from([0x30, 0x80, 0, 0]),
    Buffer.concat([der, Buffer.from([0])]),
    der.subarray(0, -1),
    spkiOf(key),
  ];
  for (const input of inputs) t.throws(() => parseCsr(input), malformed);
});

test('a request that is too large is rejected before it is decoded', (t) => {
  const tooLarge = { code: 'csr-too-large' };
  t.throws(() => parseCsr(Buffer.alloc(csrMaxBytes + 1, 0x30)), tooLarge);
  t.throws(() => parseCsr(Buffer.alloc(1024 * 1024, 0x41)), tooLarge);
  t.throws(() => parseCsr('A'.repeat(csrMaxBytes * 2)), tooLarge);
  t.throws(() => parseCsr('A'.repeat(Math.ceil(csrMaxBytes / 3) * 4 + 4)), tooLarge);
});

test('keys of other types are rejected with their own error', (t) => {
  const refused = { code: 'csr-key-unsupported' };
  const keys = [
    generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey,
    generateKeyPairSync('rsa', { modulusLength: 2047 }).privateKey,
    generateKeyPairSync('rsa', { modulusLength: 2056 }).privateKey,
    generateKeyPairSync('rsa', { modulusLength: 2048, publicExponent: 3 }).privateKey,
    generateKeyPairSync('rsa-pss', { modulusLength: 2048 }).privateKey,
    generateKeyPairSync('ec', { namedCurve: 'P-521' }).privateKey,
    generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).privateKey,
    generateKeyPairSync('ec', { namedCurve: 'brainpoolP256r1' }).privateKey,
    generateKeyPairSync('ed448').privateKey,
  ];
  for (const key of keys) t.throws(() => parseCsr(forgeRequest({ key })), refused);
});

test('NULL parameters behind ECDSA with SHA-2 are accepted in a request, as TPM providers write them', async (t) => {
  const key = await keyFor('p256', 'subject');
  for (const [digest, name] of [
    ['sha256', oids.ecdsaWithSha256],
    ['sha384', oids.ecdsaWithSha384],
  ] as const) {
    const request = forgeRequest({ key, algorithm: sequence(oid(name), derNull), digest });
    const csr = parseCsr(request);
    t.is(csr.keyType, 'p256');
    t.is(csr.commonName, 'dev-1');
    const openssl = opensslFor(t);
    if (openssl === undefined) continue;
    const file = openssl.file('csr.der', request);
    const { code, stderr } = await openssl.run(
      ...['req', '-in', file, '-inform', 'DER', '-verify', '-noout'],
    );
    t.is(code, 0, stderr);
  }
});
