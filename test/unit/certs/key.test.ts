import { createPrivateKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import test from 'ava';
import { decodeDer, tags, type DerNode } from '../../../certs/der.ts';
import { decryptPrivateKey, encryptPrivateKey } from '../../../certs/encrypted-key.ts';
import {
  fingerprintOf,
  generateKey,
  generateKeySync,
  isKeyType,
  keyTypeOf,
  keyTypes,
  privateKeyPem,
  spkiOf,
} from '../../../certs/key.ts';
import { opensslFor } from '../../support/certs-openssl.ts';
import { keyFor } from '../../support/certs-world.ts';

test('keys of each type are generated and recognized', async (t) => {
  for (const type of keyTypes) {
    const key = await keyFor(type, 'subject');
    t.is(keyTypeOf(key), type);
    t.is(keyTypeOf(createPrivateKey(privateKeyPem(key))), type);
  }
  for (const type of ['p256', 'p384', 'ed25519'] as const)
    t.is(keyTypeOf(generateKeySync(type)), type);
  const [a, b] = await Promise.all([generateKey('p256'), generateKey('p256')]);
  t.notDeepEqual(spkiOf(a), spkiOf(b));
  t.true(isKeyType('p256'));
  t.false(isKeyType('rsa1024'));
});

test('keys of other types are not recognized', (t) => {
  t.is(keyTypeOf(generateKeyPairSync('ec', { namedCurve: 'P-521' }).privateKey), undefined);
  t.is(keyTypeOf(generateKeyPairSync('x25519').privateKey), undefined);
  t.is(keyTypeOf(generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey), undefined);
  t.is(
    keyTypeOf(generateKeyPairSync('rsa', { modulusLength: 2048, publicExponent: 3 }).privateKey),
    undefined,
  );
});

test('a fingerprint equals the one of openssl', async (t) => {
  const openssl = opensslFor(t);
  if (openssl === undefined) return;
  const data = randomBytes(100);
  const { stdout } = await openssl.run('dgst', '-sha256', '-r', openssl.file('data', data));
  t.is(fingerprintOf(data), `sha256:${stdout.slice(0, 64)}`);
});

test('an encrypted key can be decrypted only with its passphrase, here and by openssl', async (t) => {
  const openssl = opensslFor(t);
  if (openssl === undefined) return;
  const passphrase = 'pässphrase with spaces';
  for (const type of ['p256', 'ed25519', 'rsa2048'] as const) {
    const key = await keyFor(type, 'subject');
    const pem = encryptPrivateKey(key, passphrase);
    t.regex(pem, /^-----BEGIN ENCRYPTED PRIVATE KEY-----\n/);
    t.is(privateKeyPem(decryptPrivateKey(pem, passphrase)), privateKeyPem(key));
    t.not(encryptPrivateKey(key, passphrase), pem);
    const file = openssl.file('key.pem', pem);
    const pass = openssl.file('pass', passphrase);
    const opened = await openssl.run('pkey', '-in', file, '-passin', `file:${pass}`);
    t.is(opened.stdout, privateKeyPem(key), opened.stderr);
    const shown = await openssl.run('asn1parse', '-in', file);
    t.regex(
      shown.stdout,
      /PBES2[\s\S]+PBKDF2[\s\S]+INTEGER\s+:0927C0[\s\S]+hmacWithSHA256[\s\S]+aes-256-cbc/,
    );
    for (const wrong of ['', 'x', `${passphrase} `]) {
      t.throws(() => decryptPrivateKey(pem, wrong), { code: 'ca-passphrase-wrong' });
    }
  }
});

test('keys written in one moment under one passphrase share a salt but no IV, and no salt with another passphrase', (t) => {
  const key = generateKeySync('p256');
  const [first, second, other] = ['one', 'one', 'two'].map((passphrase) => {
    const der = Buffer.from(
      encryptPrivateKey(key, passphrase).replaceAll(/-.*-|\n/g, ''),
      'base64',
    );
    const octets = octetStringsOf(decodeDer(der, { maxBytes: 1_000 }));
    return {
      salt: octets[0]?.toString('hex'),
      iv: octets[1]?.toString('hex'),
      length: octets.length,
    };
  });
  t.deepEqual([first?.length, first?.salt?.length, first?.iv?.length], [3, 32, 32]);
  t.is(first?.salt, second?.salt);
  t.not(first?.iv, second?.iv);
  t.not(first?.salt, other?.salt);
});

test('an encrypted key of other software is read: other iterations, hash and cipher', async (t) => {
  const openssl = opensslFor(t);
  if (openssl === undefined) return;
  const key = generateKeySync('p256');
  const file = openssl.file('plain.pem', privateKeyPem(key));
  const pass = openssl.file('pass', 'secret');
  const write = ['pkcs8', '-topk8', '-in', file, '-passout', `file:${pass}`];
  for (const scheme of [
    ['-v2', 'aes-256-cbc', '-v2prf', 'hmacWithSHA256', '-iter', '1000'],
    ['-v2', 'aes-256-cbc', '-v2prf', 'hmacWithSHA256', '-iter', '600000'],
    ['-v2', 'aes-128-cbc', '-v2prf', 'hmacWithSHA512', '-iter', '600000'],
    ['-scrypt'],
  ]) {
    const { stdout, stderr } = await openssl.run(...write, ...scheme);
    t.is(privateKeyPem(decryptPrivateKey(stdout, 'secret')), privateKeyPem(key), stderr);
    t.throws(() => decryptPrivateKey(stdout, 'wrong'), { code: 'ca-passphrase-wrong' });
  }
});

test('a wrong passphrase and a damaged file have different errors, and neither contains the passphrase', (t) => {
  const key = generateKeySync('p256');
  const pem = encryptPrivateKey(key, 'right');
  const wrong = t.throws(() => decryptPrivateKey(pem, 'secret-guess'), {
    code: 'ca-passphrase-wrong',
  });
  t.false(JSON.stringify([wrong.message, String(wrong.cause)]).includes('secret-guess'));
  const damaged = [
    '',
    pem.slice(0, 100),
    pem.replace('ENCRYPTED ', ''),
    privateKeyPem(key),
    pem.replace(/\n(.{20})/, '\n'),
  ];
  for (const text of damaged) {
    t.throws(() => decryptPrivateKey(text, 'right'), { code: 'ca-key-unreadable' });
  }
});

function octetStringsOf(node: DerNode): readonly Buffer[] {
  return node.tag === tags.octetString ? [node.content] : node.children.flatMap(octetStringsOf);
}
