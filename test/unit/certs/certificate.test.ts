import { generateKeyPairSync, sign, X509Certificate } from 'node:crypto';
import test from 'ava';
import { commonNameOf, readCertificate, splitPem } from '../../../certs/certificate.ts';
import { contextTag, tags } from '../../../certs/der.ts';
import { extension } from '../../../certs/extensions.ts';
import {
  bitString,
  element,
  explicit,
  integer,
  oid,
  sequence,
  setOf,
  time,
  utf8String,
} from '../../../certs/der-encode.ts';
import { generateKeySync, spkiOf } from '../../../certs/key.ts';
import { oids } from '../../../certs/oids.ts';
import { subjectNamesOf } from '../../../certs/subject-names.ts';
import { name } from '../../support/certs-forge-request.ts';
import { subjectText } from '../../../core/subject-text.ts';
import { dayMs, keyFor, world } from '../../support/certs-world.ts';

const cn = oids.commonName;
const ou = '2.5.4.11';
const string = (tag: number, content: string): Buffer =>
  element(tag, Buffer.from(content, 'latin1'));
const pair = (type: string, value: Buffer): Buffer => sequence(oid(type), value);

/** A self-signed certificate with any subject, as a careless factory CA might issue it. */
function withSubject(subject: Buffer): X509Certificate {
  const key = generateKeySync('p256');
  const algorithm = sequence(oid(oids.ecdsaWithSha256));
  const validity = sequence(time(Date.now() - dayMs), time(Date.now() + dayMs));
  const tbs = sequence(
    explicit(0, integer(2)),
    integer(1),
    algorithm,
    subject,
    validity,
    subject,
    spkiOf(key),
  );
  return new X509Certificate(sequence(tbs, algorithm, bitString(sign('sha256', tbs, key))));
}

const missing = 'certificate-cn-missing';
const multiple = 'certificate-cn-multiple';
const invalid = 'certificate-cn-invalid';

const subjects: readonly (readonly [string, Buffer, string])[] = [
  ['one name', name([[cn, utf8String('dev-1')]]), 'dev-1'],
  [
    'one name among other attributes',
    name([
      [ou, utf8String('CN=x')],
      [cn, utf8String('dev-1')],
      [ou, utf8String('y')],
    ]),
    'dev-1',
  ],
  ['128 characters', name([[cn, utf8String('x'.repeat(128))]]), 'x'.repeat(128)],
  ['a PrintableString', name([[cn, string(tags.printableString, 'dev-1')]]), 'dev-1'],
  ['no subject', sequence(), missing],
  ['no common name', name([[ou, utf8String('dev-1')]]), missing],
  [
    'a common name in the text of another attribute',
    name([[ou, utf8String('a\nCN=dev-1')]]),
    missing,
  ],
  [
    'two common names',
    name([
      [cn, utf8String('dev-1')],
      [cn, utf8String('admin')],
    ]),
    multiple,
  ],
  [
    'two common names in separate relative names',
    name([
      [cn, utf8String('dev-1')],
      [ou, utf8String('x')],
      [cn, utf8String('admin')],
    ]),
    multiple,
  ],
  [
    'two common names in one relative name',
    sequence(setOf(pair(cn, utf8String('admin')), pair(cn, utf8String('dev-1')))),
    multiple,
  ],
  [
    'a common name in a relative name with another attribute',
    sequence(setOf(pair(cn, utf8String('dev-1')), pair(ou, utf8String('x')))),
    invalid,
  ],
  [
    'a common name after another attribute in its relative name',
    sequence(element(tags.set, pair(ou, utf8String('x')), pair(cn, utf8String('dev-1')))),
    invalid,
  ],
  ['an empty name', name([[cn, utf8String('')]]), invalid],
  ['a slash', name([[cn, utf8String('a/b')]]), invalid],
  ['a plus', name([[cn, utf8String('a+b')]]), invalid],
  ['a plus that plays a second name', name([[cn, utf8String('dev-1 + CN=admin')]]), multiple],
  ['a hash', name([[cn, utf8String('#')]]), invalid],
  ['a dollar', name([[cn, utf8String('$SYS')]]), invalid],
  ['a space', name([[cn, utf8String('dev 1')]]), invalid],
  ['a space before', name([[cn, utf8String(' dev-1')]]), invalid],
  ['a NUL', name([[cn, utf8String('dev-1\u0000.evil')]]), invalid],
  ['a line break', name([[cn, utf8String('dev-1\nCN=admin')]]), invalid],
  ['a backslash', name([[cn, utf8String('dev\\2d1')]]), invalid],
  ['letters outside ASCII', name([[cn, utf8String('dév')]]), invalid],
  ['129 characters', name([[cn, utf8String('x'.repeat(129))]]), invalid],
  // The decoded text counts.
  ['a BMPString', name([[cn, string(tags.bmpString, '\0d\0e\0v')]]), 'dev'],
  ['a BMPString with a slash', name([[cn, string(tags.bmpString, '\0d\0/\0v')]]), invalid],
  ['a BMPString of wide letters', name([[cn, string(tags.bmpString, 'devd')]]), invalid],
];

for (const [what, subject, expected] of subjects) {
  test(`the common name of a certificate: ${what}`, (t) => {
    const found = commonNameOf(withSubject(subject));
    t.is<string, string>(found.ok ? found.id : found.code, expected);
  });
}

test('a subject of several relative names is shown in the form of RFC 4514', (t) => {
  const texts = [
    [name([[cn, utf8String('Works CA')]]), 'CN=Works CA'],
    [
      name([
        ['0.9.2342.19200300.100.1.25', string(tags.ia5String, 'example')],
        ['2.5.4.10', utf8String('Works, + Sons')],
        [cn, utf8String('a\nb')],
      ]),
      String.raw`CN=a\0Ab,O=Works\, \+ Sons,DC=example`,
    ],
    [sequence(setOf(pair(ou, utf8String('y')), pair(cn, utf8String('x')))), 'CN=x+OU=y'],
    [sequence(), ''],
  ] as const;
  for (const [subject, text] of texts) t.is(subjectText(withSubject(subject)), text);
});

test('a certificate can be read from PEM, DER and an object', async (t) => {
  const { issuer } = await world();
  const issued = issuer.issue({
    spki: spkiOf(await keyFor('p256', 'subject')),
    profile: 'broker',
    commonName: 'broker-1',
    names: subjectNamesOf(['Broker.example.', '10.0.0.1', '::FFFF:192.0.2.1']),
    validityMs: dayMs,
  });
  const facts = readCertificate(issued.pem);
  t.deepEqual(facts.names, {
    dns: ['broker.example'],
    ip: ['10.0.0.1', '::ffff:c000:201'],
    uri: [],
  });
  const others = [readCertificate(issued.der), readCertificate(new X509Certificate(issued.der))];
  for (const other of others) {
    t.deepEqual({ ...other, x509: undefined }, { ...facts, x509: undefined });
  }
  t.is(facts.pem, issued.pem);
  t.is(facts.pem, facts.x509.toString());
});

test('anything but a certificate is rejected with its own error', (t) => {
  for (const input of ['', 'hello', Buffer.alloc(0), Buffer.alloc(100, 0x30), sequence()]) {
    t.throws(() => readCertificate(input), { code: 'certificate-unreadable' });
  }
});

test('a foreign certificate with another key type can be read', (t) => {
  // Factory CAs may have other keys: P-521, brainpool.
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-521' });
  const subject = name([[cn, utf8String('factory')]]);
  const algorithm = sequence(oid('1.2.840.10045.4.3.4'));
  const validity = sequence(time(0), time(Date.UTC(2055, 0, 1)));
  const tbs = sequence(
    explicit(0, integer(2)),
    integer(1),
    algorithm,
    subject,
    validity,
    subject,
    spkiOf(privateKey),
  );
  const facts = readCertificate(
    sequence(tbs, algorithm, bitString(sign('sha512', tbs, privateKey))),
  );
  t.is(facts.notBeforeMs, 0);
  t.is(facts.notAfterMs, Date.UTC(2055, 0, 1));
  t.deepEqual(facts.extendedKeyUsage, []);
  t.is(facts.subjectKeyId, undefined);
});

test('unique identifiers and unknown alternative names do not hide other fields', (t) => {
  const key = generateKeySync('p256');
  const subject = name([[cn, utf8String('factory-7')]]);
  const algorithm = sequence(oid(oids.ecdsaWithSha256));
  const validity = sequence(time(0), time(Date.UTC(2040, 0, 1)));
  const extensions = sequence(
    extension(oids.extendedKeyUsage, sequence(oid(oids.clientAuth))),
    extension(
      oids.subjectAltName,
      sequence(
        element(contextTag(2, 'primitive'), Buffer.from('*.factory.example')),
        element(contextTag(1, 'primitive'), Buffer.from('a@factory.example')),
        element(contextTag(2, 'primitive'), Buffer.from('x.factory.example')),
      ),
    ),
  );
  const unique = [1, 2].map((number) =>
    element(contextTag(number, 'primitive'), Buffer.from([0, 0x87])),
  );
  const parts = [
    explicit(0, integer(2)),
    integer(1),
    algorithm,
    subject,
    validity,
    subject,
    spkiOf(key),
  ];
  const tbs = sequence(...parts, ...unique, explicit(3, extensions));
  const facts = readCertificate(sequence(tbs, algorithm, bitString(sign('sha256', tbs, key))));
  t.deepEqual(facts.extendedKeyUsage, [oids.clientAuth]);
  t.deepEqual(facts.names, { dns: ['x.factory.example'], ip: [], uri: [] });
});

test('a PEM text is split into its certificates, without other blocks', async (t) => {
  const { root, issuer } = await world();
  const text = `# root\n${root.certificate.pem}\n-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n${issuer.certificate.pem.replaceAll('\n', '\r\n')}`;
  t.deepEqual(splitPem(text), [root.certificate.pem, issuer.certificate.pem]);
  t.deepEqual(splitPem(''), []);
});
