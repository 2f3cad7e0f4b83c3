import { X509Certificate, createPrivateKey } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import test from 'ava';
import fc from 'fast-check';
import { splitPem } from '../../../certs/certificate.ts';
import { privateKeyPem, spkiOf, type KeyType } from '../../../certs/key.ts';
import { certsOnly, certsOnlyMaxBytes, parseCertsOnly } from '../../../certs/pkcs7.ts';
import { createPkcs12 } from '../../../certs/pkcs12.ts';
import { isFlotillaError } from '../../../core/errors/flotilla-error.ts';
import { opensslFor } from '../../support/certs-openssl.ts';
import { dayMs, keyFor, quickKeyTypes, world } from '../../support/certs-world.ts';

async function chain(type: KeyType): Promise<Buffer[]> {
  const { issuer, root } = await world();
  const spki = spkiOf(await keyFor(type, 'subject'));
  const leaf = issuer.issue({ spki, profile: 'device', commonName: 'd', validityMs: dayMs });
  return [leaf.der, issuer.certificate.der, root.certificate.der];
}

test('openssl reads the certificates of a certs-only PKCS#7, in DER order', async (t) => {
  const openssl = opensslFor(t);
  if (openssl === undefined) return;
  for (const type of quickKeyTypes) {
    const certificates = await chain(type);
    const bag = certsOnly(certificates);
    t.deepEqual(certsOnly(certificates.toReversed()), bag);
    certificates.sort((a, b) => a.compare(b));
    const file = openssl.file(`${type}.p7`, bag);
    const { code, stdout, stderr } = await openssl.run(
      'pkcs7',
      '-inform',
      'DER',
      '-in',
      file,
      '-print_certs',
    );
    t.is(code, 0, stderr);
    t.deepEqual(
      splitPem(stdout).map((pem) => new X509Certificate(pem).raw),
      certificates,
    );
    const cms = await openssl.run('cms', '-cmsout', '-inform', 'DER', '-in', file, '-print');
    t.is(cms.code, 0, cms.stderr);
    t.deepEqual(parseCertsOnly(bag), certificates);
  }
});

test('PKCS#7 files of openssl are read in their order', async (t) => {
  const openssl = opensslFor(t);
  if (openssl === undefined) return;
  const certificates = await chain('p256');
  const pem = certificates.map((der) => new X509Certificate(der).toString()).join('');
  const out = openssl.path('out.p7');
  const all = openssl.file('all.pem', pem);
  await openssl.run('crl2pkcs7', '-nocrl', '-certfile', all, '-outform', 'DER', '-out', out);
  const { readFileSync } = await import('node:fs');
  t.deepEqual(parseCertsOnly(readFileSync(out)), certificates);
});

test('an empty PKCS#7 is valid', (t) => {
  t.deepEqual(parseCertsOnly(certsOnly([])), []);
});

test('anything but a certs-only PKCS#7 is rejected with its own error', async (t) => {
  const certificates = await chain('p256');
  const bag = certsOnly(certificates);
  const refused = (input: Uint8Array): boolean => {
    try {
      parseCertsOnly(input);
      return false;
    } catch (error) {
      if (isFlotillaError(error, 'pkcs7-malformed')) return true;
      throw error;
    }
  };
  t.true(refused(Buffer.alloc(0)));
  t.true(refused(Buffer.alloc(certsOnlyMaxBytes + 1, 0x30)));
  t.true(refused(certificates[0]!));
  t.true(refused(Buffer.concat([bag, Buffer.from([0])])));
  fc.assert(
    fc.property(fc.nat(bag.length - 1), fc.nat(255), (at, byte) => {
      const changed = Buffer.from(bag);
      changed[at] = byte;
      // The parser of the certificate finds a change inside it; here nothing else may be thrown.
      refused(changed);
      return refused(bag.subarray(0, at));
    }),
    { numRuns: 1000 },
  );
});

test('openssl and node:tls can open a PKCS#12 file', async (t) => {
  const openssl = opensslFor(t);
  if (openssl === undefined) return;
  const passphrase = 'correct horse';
  for (const type of ['p256', 'rsa2048'] as const) {
    const key = await keyFor(type, 'subject');
    const certificates = await chain(type);
    const pfx = await createPkcs12({ key, certificates, passphrase, name: 'Gerät 7' });
    const file = openssl.file(`${type}.p12`, pfx);
    const pass = ['-passin', 'file:' + openssl.file('pass', passphrase)];
    const args = ['-in', file, ...pass, '-nodes', '-info'];
    const { code, stdout, stderr } = await openssl.run('pkcs12', ...args);
    t.is(code, 0, stderr);
    t.deepEqual(
      splitPem(stdout).map((pem) => new X509Certificate(pem).raw),
      certificates,
    );
    const pem =
      /-----BEGIN PRIVATE KEY-----[^-]+-----END PRIVATE KEY-----\n/.exec(stdout)?.[0] ?? '';
    t.is(privateKeyPem(createPrivateKey(pem)), privateKeyPem(key));
    t.regex(stdout, /friendlyName: Ger/);
    t.regex(stderr, /MAC: sha256, Iteration 600000/);
    t.regex(stderr, /PBES2, PBKDF2, AES-256-CBC, Iteration 600000, PRF hmacWithSHA256/);
    t.notThrows(() => createSecureContext({ pfx, passphrase }));
    t.throws(() => createSecureContext({ pfx, passphrase: 'wrong' }));
  }
});
