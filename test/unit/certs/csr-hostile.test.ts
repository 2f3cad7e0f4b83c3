import { createPublicKey, ECDH, generateKeyPairSync, sign } from 'node:crypto';
import test from 'ava';
import { contextTag, tags } from '../../../certs/der.ts';
import {
  bitString,
  derNull,
  element,
  explicit,
  integer,
  octetString,
  oid,
  sequence,
  setOf,
  unsignedInteger,
  utf8String,
} from '../../../certs/der-encode.ts';
import { createCsr, parseCsr } from '../../../certs/csr.ts';
import { extension } from '../../../certs/extensions.ts';
import { generateKeySync, spkiOf } from '../../../certs/key.ts';
import { oids } from '../../../certs/oids.ts';
import type { ErrorCode } from '../../../core/errors/catalogue.ts';
import {
  attribute,
  forgeRequest,
  name,
  type RequestParts,
} from '../../support/certs-forge-request.ts';
import { keyFor } from '../../support/certs-world.ts';

const key = generateKeySync('p256');
const cn = oids.commonName;
const o = '2.5.4.10';
const text = (tag: number, content: string | Buffer): Buffer =>
  element(tag, typeof content === 'string' ? Buffer.from(content, 'latin1') : content);
const altNames = (...parts: Buffer[]): Buffer =>
  attribute(oids.extensionRequest, sequence(extension(oids.subjectAltName, sequence(...parts))));
const dns = (content: string): Buffer => text(contextTag(2, 'primitive'), content);

test('the forger creates valid requests when nothing is manipulated', async (t) => {
  t.is(parseCsr(forgeRequest({ key })).commonName, 'dev-1');
  t.is(parseCsr(forgeRequest({ key: generateKeySync('ed25519') })).keyType, 'ed25519');
  t.is(parseCsr(forgeRequest({ key: await keyFor('rsa2048', 'subject') })).keyType, 'rsa2048');
  t.deepEqual(parseCsr(forgeRequest({ key, attributes: [altNames(dns('A.b'))] })).names.dns, [
    'a.b',
  ]);
  const unsorted = [attribute('1.2.3.5', derNull), attribute('1.2.3.4', derNull)];
  t.is(parseCsr(forgeRequest({ key, attributes: unsorted })).commonName, 'dev-1');
  t.is(parseCsr(forgeRequest({ key, subject: sequence() })).commonName, undefined);
  t.is(
    parseCsr(forgeRequest({ key, subject: name([[o, text(tags.ia5String, 'x@y')]]) })).commonName,
    undefined,
  );
});

/** By their position in the structure; all are signed by the key that they contain. */
const vectors: readonly (readonly [string, Partial<RequestParts>, ErrorCode])[] = [
  // Subject
  [
    'two common names',
    {
      subject: name([
        [cn, utf8String('a')],
        [cn, utf8String('b')],
      ]),
    },
    'csr-name-invalid',
  ],
  [
    'the same common name twice',
    {
      subject: name([
        [cn, utf8String('a')],
        [cn, utf8String('a')],
      ]),
    },
    'csr-name-invalid',
  ],
  [
    'a multi-valued relative name',
    {
      subject: sequence(
        setOf(sequence(oid(cn), utf8String('a')), sequence(oid(o), utf8String('b'))),
      ),
    },
    'csr-name-invalid',
  ],
  [
    'two names in one relative name',
    {
      subject: sequence(
        setOf(sequence(oid(cn), utf8String('a')), sequence(oid(cn), utf8String('b'))),
      ),
    },
    'csr-name-invalid',
  ],
  [
    'a relative name out of order',
    {
      subject: sequence(
        element(tags.set, sequence(oid(cn), utf8String('b')), sequence(oid(cn), utf8String('a'))),
      ),
    },
    'csr-malformed',
  ],
  ['an empty part', { subject: sequence(setOf()) }, 'csr-malformed'],
  [
    '17 parts',
    { subject: name(Array.from({ length: 17 }, () => [o, utf8String('x')] as const)) },
    'csr-name-invalid',
  ],
  ['a slash', { subject: name([[cn, utf8String('a/b')]]) }, 'csr-name-invalid'],
  ['a plus', { subject: name([[cn, utf8String('a+b')]]) }, 'csr-name-invalid'],
  ['a hash', { subject: name([[cn, utf8String('#')]]) }, 'csr-name-invalid'],
  ['a dollar', { subject: name([[cn, utf8String('$SYS')]]) }, 'csr-name-invalid'],
  ['a space', { subject: name([[cn, utf8String('a b')]]) }, 'csr-name-invalid'],
  ['a NUL', { subject: name([[cn, utf8String('dev\u0000.evil')]]) }, 'csr-name-invalid'],
  [
    'a NUL in another attribute',
    {
      subject: name([
        [o, utf8String('a\u0000')],
        [cn, utf8String('a')],
      ]),
    },
    'csr-name-invalid',
  ],
  ['a line break', { subject: name([[cn, utf8String('a\nCN=b')]]) }, 'csr-name-invalid'],
  ['an empty name', { subject: name([[cn, utf8String('')]]) }, 'csr-name-invalid'],
  ['129 characters', { subject: name([[cn, utf8String('x'.repeat(129))]]) }, 'csr-name-invalid'],
  ['letters that look alike', { subject: name([[cn, utf8String('dеv')]]) }, 'csr-name-invalid'],
  [
    'bad UTF-8',
    { subject: name([[cn, text(tags.utf8String, Buffer.from([0xc0, 0xaf]))]]) },
    'csr-malformed',
  ],
  [
    'a surrogate in UTF-8',
    { subject: name([[cn, text(tags.utf8String, Buffer.from([0xed, 0xa0, 0x80]))]]) },
    'csr-malformed',
  ],
  ['a BMPString', { subject: name([[cn, text(tags.bmpString, '\0d\0e\0v')]]) }, 'csr-name-invalid'],
  [
    'a BMPString of odd length',
    { subject: name([[cn, text(tags.bmpString, '\0d\0')]]) },
    'csr-malformed',
  ],
  [
    'a TeletexString',
    { subject: name([[cn, text(tags.teletexString, 'dev')]]) },
    'csr-name-invalid',
  ],
  [
    'a UniversalString',
    { subject: name([[cn, text(tags.universalString, '\0\0\0d')]]) },
    'csr-name-invalid',
  ],
  ['an IA5String', { subject: name([[cn, text(tags.ia5String, 'dev')]]) }, 'csr-name-invalid'],
  [
    'a bad PrintableString',
    { subject: name([[cn, text(tags.printableString, 'a_b')]]) },
    'csr-malformed',
  ],
  ['an INTEGER for a name', { subject: name([[cn, integer(5)]]) }, 'csr-name-invalid'],
  ['a SEQUENCE for a name', { subject: name([[cn, sequence()]]) }, 'csr-name-invalid'],
  [
    'three elements in a pair',
    { subject: sequence(setOf(sequence(oid(cn), utf8String('a'), derNull))) },
    'csr-malformed',
  ],
  ['a SET for a subject', { subject: setOf() }, 'csr-malformed'],
  // Frame
  ['version 2', { version: integer(1) }, 'csr-malformed'],
  ['version as OCTET STRING', { version: octetString(Buffer.from([0])) }, 'csr-malformed'],
  ['version -256', { version: element(tags.integer, Buffer.from([0xff, 0])) }, 'csr-malformed'],
  [
    'version with padding',
    { version: element(tags.integer, Buffer.from([0, 0])) },
    'csr-malformed',
  ],
  ['version without content', { version: element(tags.integer) }, 'csr-malformed'],
  ['a part after the attributes', { extra: [derNull] }, 'csr-malformed'],
  ['attributes under [1]', { attributesElement: element(contextTag(1)) }, 'csr-malformed'],
  [
    'attributes as primitive',
    { attributesElement: element(contextTag(0, 'primitive')) },
    'csr-malformed',
  ],
  // Attributes
  ['an attribute twice', { attributes: [altNames(dns('a')), altNames(dns('b'))] }, 'csr-malformed'],
  [
    '17 attributes',
    { attributes: Array.from({ length: 17 }, (_, i) => attribute(`1.2.3.${i}`, derNull)) },
    'csr-malformed',
  ],
  ['an attribute without values', { attributes: [attribute('1.2.3.4')] }, 'csr-malformed'],
  ['an attribute that is a SET', { attributes: [setOf()] }, 'csr-malformed'],
  [
    'two extension requests in one',
    {
      attributes: [
        attribute(
          oids.extensionRequest,
          sequence(extension('1.2.3', derNull)),
          sequence(extension('1.2.4', derNull)),
        ),
      ],
    },
    'csr-malformed',
  ],
  [
    'an empty extension request',
    { attributes: [attribute(oids.extensionRequest, sequence())] },
    'csr-malformed',
  ],
  [
    'an extension twice',
    {
      attributes: [
        attribute(
          oids.extensionRequest,
          sequence(extension('1.2.3', derNull), extension('1.2.3', derNull)),
        ),
      ],
    },
    'csr-malformed',
  ],
  [
    'criticality FALSE written out',
    {
      attributes: [
        attribute(
          oids.extensionRequest,
          sequence(sequence(oid('1.2.3'), Buffer.from([1, 1, 0]), octetString(derNull))),
        ),
      ],
    },
    'csr-malformed',
  ],
  [
    'criticality 1',
    {
      attributes: [
        attribute(
          oids.extensionRequest,
          sequence(sequence(oid('1.2.3'), Buffer.from([1, 1, 1]), octetString(derNull))),
        ),
      ],
    },
    'csr-malformed',
  ],
  // Alternative names
  ['no alternative name', { attributes: [altNames()] }, 'csr-name-invalid'],
  [
    'an IP address of 5 octets',
    { attributes: [altNames(element(contextTag(7, 'primitive'), Buffer.alloc(5)))] },
    'csr-name-invalid',
  ],
  ['a DNS name with NUL', { attributes: [altNames(dns('a\0b'))] }, 'csr-name-invalid'],
  ['a wildcard', { attributes: [altNames(dns('*.example'))] }, 'csr-name-invalid'],
  ['an empty DNS name', { attributes: [altNames(dns(''))] }, 'csr-name-invalid'],
  ['a DNS label of 64', { attributes: [altNames(dns('x'.repeat(64)))] }, 'csr-name-invalid'],
  ['a DNS name outside ASCII', { attributes: [altNames(dns('\xe9.example'))] }, 'csr-name-invalid'],
  [
    'a URI with a space',
    { attributes: [altNames(text(contextTag(6, 'primitive'), 'urn:a b'))] },
    'csr-name-invalid',
  ],
  [
    'a URI without a scheme',
    { attributes: [altNames(text(contextTag(6, 'primitive'), 'nowhere'))] },
    'csr-name-invalid',
  ],
  [
    'a mail address',
    { attributes: [altNames(text(contextTag(1, 'primitive'), 'a@b'))] },
    'csr-name-invalid',
  ],
  ['another kind of name', { attributes: [altNames(explicit(0, sequence()))] }, 'csr-name-invalid'],
  [
    '65 alternative names',
    { attributes: [altNames(...Array.from({ length: 65 }, (_, i) => dns(`a${i}`)))] },
    'csr-name-invalid',
  ],
  [
    'alternative names with bytes after',
    {
      attributes: [
        attribute(
          oids.extensionRequest,
          sequence(extension(oids.subjectAltName, Buffer.concat([sequence(dns('a')), derNull]))),
        ),
      ],
    },
    'csr-malformed',
  ],
  // Algorithms
  [
    'another hash than the one that was used',
    { algorithm: sequence(oid(oids.ecdsaWithSha384)) },
    'csr-signature-invalid',
  ],
  [
    'ECDSA with SHA-1',
    { algorithm: sequence(oid('1.2.840.10045.4.1')), digest: 'sha1' },
    'csr-algorithm-unsupported',
  ],
  [
    'RSA for an EC key',
    { algorithm: sequence(oid(oids.sha256WithRsa), derNull) },
    'csr-algorithm-unsupported',
  ],
  [
    'Ed25519 for an EC key',
    { algorithm: sequence(oid(oids.ed25519)) },
    'csr-algorithm-unsupported',
  ],
  [
    'ECDSA with two NULLs',
    { algorithm: sequence(oid(oids.ecdsaWithSha256), derNull, derNull) },
    'csr-algorithm-unsupported',
  ],
  [
    'ECDSA with parameters',
    { algorithm: sequence(oid(oids.ecdsaWithSha256), sequence()) },
    'csr-algorithm-unsupported',
  ],
  ['no algorithm', { algorithm: sequence() }, 'csr-malformed'],
  [
    'an OID with padding',
    { algorithm: sequence(element(tags.oid, Buffer.from([0x2a, 0x80, 0x01]))) },
    'csr-malformed',
  ],
  [
    'an OID cut short',
    { algorithm: sequence(element(tags.oid, Buffer.from([0x2a, 0x86]))) },
    'csr-malformed',
  ],
  [
    'an OID beyond numbers',
    { algorithm: sequence(element(tags.oid, Buffer.alloc(12, 0xff), Buffer.from([1]))) },
    'csr-malformed',
  ],
  // Signature
  ['no signature', { signature: bitString(Buffer.alloc(0)) }, 'csr-signature-invalid'],
  [
    'a signature of zeros',
    { signature: bitString(sequence(integer(0), integer(0))) },
    'csr-signature-invalid',
  ],
  ['noise as signature', { signature: bitString(Buffer.alloc(64, 7)) }, 'csr-signature-invalid'],
  [
    'unused bits in the signature',
    { signature: element(tags.bitString, Buffer.from([1, 0x30])) },
    'csr-malformed',
  ],
  ['an OCTET STRING as signature', { signature: octetString(Buffer.alloc(64)) }, 'csr-malformed'],
];

for (const [what, parts, code] of vectors) {
  test(`refused: ${what}`, (t) => {
    t.throws(() => parseCsr(forgeRequest({ key, ...parts })), { code });
  });
}

test('a request signed by another key is rejected', (t) => {
  const other = generateKeySync('p256');
  t.throws(() => parseCsr(forgeRequest({ key: other, spki: spkiOf(key) })), {
    code: 'csr-signature-invalid',
  });
});

test('explicit curve parameters are rejected, although node:crypto accepts them', (t) => {
  const explicitKey = generateKeyPairSync('ec', { namedCurve: 'P-256', paramEncoding: 'explicit' });
  const spki = spkiOf(explicitKey.publicKey);
  t.is(
    createPublicKey({ key: spki, format: 'der', type: 'spki' }).asymmetricKeyDetails?.namedCurve,
    'prime256v1',
  );
  t.throws(() => parseCsr(forgeRequest({ key: explicitKey.privateKey, spki })), {
    code: 'csr-key-unsupported',
    message: /explicit elliptic curve parameters/,
  });
});

test('compressed and hybrid points are rejected', (t) => {
  const spki = spkiOf(key);
  const point = spki.subarray(-65);
  const dress = (bytes: Buffer): Buffer =>
    sequence(sequence(oid(oids.ecPublicKey), oid(oids.p256)), bitString(bytes));
  t.deepEqual(dress(point), spki);
  const compressed = ECDH.convertKey(point, 'prime256v1', undefined, undefined, 'compressed');
  const hybrid = ECDH.convertKey(point, 'prime256v1', undefined, undefined, 'hybrid');
  for (const form of [compressed, hybrid]) {
    t.true(Buffer.isBuffer(form));
    t.throws(() => parseCsr(forgeRequest({ key, spki: dress(form as Buffer) })), {
      code: 'csr-key-unsupported',
      message: /uncompressed/,
    });
  }
  const offCurve = Buffer.from(point);
  offCurve[40] = offCurve[40]! ^ 1;
  for (const bad of [offCurve, Buffer.alloc(65), point.subarray(0, 64), Buffer.from([0])]) {
    t.throws(() => parseCsr(forgeRequest({ key, spki: dress(bad) })), {
      code: 'csr-key-unsupported',
    });
  }
  const noCurve = sequence(sequence(oid(oids.ecPublicKey)), bitString(point));
  const wrongCurve = sequence(sequence(oid(oids.ecPublicKey), oid(oids.p384)), bitString(point));
  for (const bad of [noCurve, wrongCurve]) {
    t.throws(() => parseCsr(forgeRequest({ key, spki: bad })), { code: 'csr-key-unsupported' });
  }
});

test('weak and non-canonical Ed25519 keys are rejected', (t) => {
  const dress = (bytes: Buffer): Buffer => sequence(sequence(oid(oids.ed25519)), bitString(bytes));
  const p = 2n ** 255n - 19n;
  const little = (y: bigint, sign = 0): Buffer => {
    const bytes = Buffer.from(y.toString(16).padStart(64, '0'), 'hex').reverse();
    bytes[31] = bytes[31]! | (sign << 7);
    return bytes;
  };
  const weak: Buffer[] = [];
  for (const y of smallOrderYs(p)) weak.push(little(y), little(y, 1));
  for (let y = p; y < 2n ** 255n; y++) weak.push(little(y), little(y, 1));
  const signer = generateKeySync('ed25519');
  for (const bytes of [...weak, Buffer.alloc(31), Buffer.alloc(33)]) {
    t.throws(
      () => parseCsr(forgeRequest({ key: signer, spki: dress(bytes) })),
      {
        code: 'csr-key-unsupported',
      },
      bytes.toString('hex'),
    );
  }
  // With the neutral element as key, R = 1 and S = 0 are a valid signature of any message for OpenSSL
  // 3.0, which is still common (OpenSSL 3.5 rejects it).
  const neutral = dress(little(1n));
  const forged = Buffer.concat([little(1n), Buffer.alloc(32)]);
  t.throws(
    () => parseCsr(forgeRequest({ key: signer, spki: neutral, signature: bitString(forged) })),
    {
      code: 'csr-key-unsupported',
    },
  );
  const parameters = sequence(
    sequence(oid(oids.ed25519), derNull),
    bitString(spkiOf(signer).subarray(-32)),
  );
  t.throws(() => parseCsr(forgeRequest({ key: signer, spki: parameters })), {
    code: 'csr-key-unsupported',
  });
});

test('RSA keys are accepted in one encoding only', async (t) => {
  const rsa = await keyFor('rsa2048', 'subject');
  const { n = '' } = rsa.export({ format: 'jwk' });
  const modulus = Buffer.from(n, 'base64url');
  const dress = (inner: Buffer, ...parameters: Buffer[]): Buffer =>
    sequence(sequence(oid(oids.rsaEncryption), ...parameters), bitString(inner));
  const right = sequence(unsignedInteger(modulus), integer(65_537));
  t.deepEqual(dress(right, derNull), spkiOf(rsa));
  const even = Buffer.from(modulus);
  even[255] = even[255]! & 0xfe;
  const unsupported: [string, Buffer][] = [
    ['without NULL', dress(right)],
    ['with other parameters', dress(right, sequence())],
    ['as PSS', sequence(sequence(oid('1.2.840.113549.1.1.10')), bitString(right))],
    ['exponent 3', dress(sequence(unsignedInteger(modulus), integer(3)), derNull)],
    ['exponent 65539', dress(sequence(unsignedInteger(modulus), integer(65_539)), derNull)],
    ['an even modulus', dress(sequence(unsignedInteger(even), integer(65_537)), derNull)],
    [
      'a negative modulus',
      dress(sequence(element(tags.integer, modulus), integer(65_537)), derNull),
    ],
    [
      '1024 bits',
      dress(sequence(unsignedInteger(modulus.subarray(0, 128)), integer(65_537)), derNull),
    ],
    [
      '8192 bits',
      dress(sequence(unsignedInteger(Buffer.alloc(1024, 0xff)), integer(65_537)), derNull),
    ],
  ];
  for (const [what, spki] of unsupported) {
    const error = t.throws(() => parseCsr(forgeRequest({ key: rsa, spki })));
    t.true(
      'code' in error && ['csr-key-unsupported', 'csr-malformed'].includes(String(error.code)),
      what,
    );
  }
  t.throws(
    () =>
      parseCsr(
        forgeRequest({ key: rsa, spki: dress(sequence(unsignedInteger(modulus)), derNull) }),
      ),
    {
      code: 'csr-malformed',
    },
  );
  // RFC 4055, 5: absent parameters of the signature must be accepted like NULL.
  t.is(
    parseCsr(forgeRequest({ key: rsa, algorithm: sequence(oid(oids.sha256WithRsa)) })).keyType,
    'rsa2048',
  );
  for (const [algorithm, digest] of [
    ['1.2.840.113549.1.1.5', 'sha1'],
    ['1.2.840.113549.1.1.4', 'md5'],
  ] as const) {
    t.throws(
      () =>
        parseCsr(forgeRequest({ key: rsa, algorithm: sequence(oid(algorithm), derNull), digest })),
      {
        code: 'csr-algorithm-unsupported',
      },
    );
  }
});

test('BER that is not DER is rejected, although the signature is valid', (t) => {
  const der = forgeRequest({ key });
  // The outer SEQUENCE with a length in four octets, and with indefinite length.
  const content = der.subarray(der[1] === 0x82 ? 4 : 3);
  const long = Buffer.concat([
    Buffer.from([0x30, 0x84, 0, 0, content.length >> 8, content.length & 255]),
    content,
  ]);
  const indefinite = Buffer.concat([Buffer.from([0x30, 0x80]), content, Buffer.alloc(2)]);
  // A constructed BIT STRING.
  const info = content.subarray(0, 3 + content[2]!);
  const value = sign('sha256', info, key);
  const pieces = element(
    0x23,
    element(3, Buffer.from([0]), value.subarray(0, 10)),
    element(3, Buffer.from([0]), value.subarray(10)),
  );
  const inPieces = forgeRequest({ key, signature: pieces });
  for (const ber of [long, indefinite, inPieces])
    t.throws(() => parseCsr(ber), { code: 'csr-malformed' });
});

test('deep and wide structures are rejected', (t) => {
  let deep = sequence();
  while (deep.length < 15_000) deep = sequence(deep);
  const wide = sequence(...Array.from({ length: 7000 }, () => derNull));
  for (const bad of [deep, wide]) t.throws(() => parseCsr(bad), { code: 'csr-malformed' });
  const inside = forgeRequest({ key, attributes: [attribute('1.2.3', deep.subarray(-200))] });
  t.throws(() => parseCsr(inside), { code: 'csr-malformed' });
});

test('an error message names the fault and contains no control characters of the sender', (t) => {
  const error = t.throws(() =>
    parseCsr(forgeRequest({ key, subject: name([[cn, utf8String('evil \u202e name')]]) })),
  );
  t.regex(error.message, /evil/);
  // eslint-disable-next-line no-control-regex -- it searches for control characters
  t.notRegex(t.throws(() => parseCsr('\u001b[2J hello')).message, /[\u0000-\u001f]/);
  t.is(parseCsr(createCsr({ key, commonName: 'x' }).der).commonName, 'x');
});

/** The y coordinates of the points of order 1, 2, 4 and 8, computed from the equation of the curve. */
function smallOrderYs(p: bigint): bigint[] {
  const mod = (a: bigint): bigint => ((a % p) + p) % p;
  const pow = (base: bigint, exponent: bigint): bigint => {
    let result = 1n;
    for (let b = mod(base), e = exponent; e > 0n; e >>= 1n, b = mod(b * b)) {
      if ((e & 1n) === 1n) result = mod(result * b);
    }
    return result;
  };
  const inverse = (a: bigint): bigint => pow(a, p - 2n);
  const root = (a: bigint): bigint | undefined => {
    const candidate = pow(a, (p + 3n) / 8n);
    if (mod(candidate * candidate) === mod(a)) return candidate;
    const other = mod(candidate * pow(2n, (p - 1n) / 4n));
    return mod(other * other) === mod(a) ? other : undefined;
  };
  const d = mod(-121665n * inverse(121666n));
  // Doubling gives y = 0 (order 4) where x^2 = -y^2, so with -x^2 + y^2 = 1 + d x^2 y^2:
  // d y^4 - 2 y^2 + ... = 0, that is y^2 = (1 +- sqrt(1 + d)) / -d up to sign.
  const ys = [0n, 1n, p - 1n];
  const s = root(mod(1n + d));
  if (s === undefined) throw new Error('no root');
  for (const sign of [1n, -1n]) {
    // -x^2 + y^2 = 1 + d x^2 y^2 with x^2 = -y^2: 2 y^2 = 1 - d y^4.
    const y2 = mod((-1n + sign * s) * inverse(d));
    const y = root(y2);
    if (y !== undefined) ys.push(y, p - y);
  }
  return ys;
}
