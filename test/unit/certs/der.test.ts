import test from 'ava';
import fc from 'fast-check';
import {
  decodeDer,
  decodeOid,
  encodeOid,
  rangeAt,
  tags,
  type DerNode,
} from '../../../certs/der.ts';
import {
  bitString,
  derNull,
  element,
  generalizedTime,
  integer,
  namedBits,
  octetString,
  oid,
  sequence,
  setOf,
  time,
  unsignedInteger,
} from '../../../certs/der-encode.ts';
import { oidOf, serialOf, smallNumberOf, timeOf } from '../../../certs/der-fields.ts';

const decode = (der: Uint8Array): DerNode => decodeDer(der, { maxBytes: 100_000 });
const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');

const leaves = fc.oneof(
  fc.uint8Array({ maxLength: 300 }).map((bytes) => octetString(bytes)),
  fc.uint8Array({ maxLength: 20 }).map((bytes) => unsignedInteger(bytes)),
  fc.uint8Array({ maxLength: 20 }).map((bytes) => bitString(bytes)),
  fc.constant(derNull),
  fc.constant(oid('1.2.840.113549.1.1.11')),
);
const trees = fc.letrec<{ tree: Buffer }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 5 },
    leaves,
    fc.array(tie('tree'), { maxLength: 4 }).map((parts) => sequence(...parts)),
    fc.array(tie('tree'), { maxLength: 4 }).map((parts) => setOf(...parts)),
  ),
})).tree;

test('encoded values are decoded, with the right position of each part', (t) => {
  fc.assert(
    fc.property(trees, (der) => {
      const check = (node: DerNode): void => {
        t.true(
          node.der.subarray(-node.content.length || node.der.length).equals(node.content) ||
            node.content.length === 0,
        );
        if (node.children.length === 0) return;
        t.deepEqual(Buffer.concat(node.children.map((child) => child.der)), node.content);
        node.children.forEach(check);
      };
      const node = decode(der);
      t.deepEqual(node.der, der);
      check(node);
      t.deepEqual(rangeAt(der, 0), {
        tag: node.tag,
        contentStart: der.length - node.content.length,
        end: der.length,
      });
    }),
    { numRuns: 300 },
  );
});

/** BER that DER does not allow (X.690, 10 and 11), and invalid encodings. */
const refused: readonly (readonly [string, string])[] = [
  ['nothing', ''],
  ['a tag alone', '30'],
  ['a length too long by form', '0481 01 00'],
  ['a length with leading zero', '0482 0001 00'],
  ['indefinite length', '3080 0500 0000'],
  ['a length without end', '04ff'],
  ['content cut short', '0402 00'],
  ['content left over', '0500 00'],
  ['an end-of-contents', '0000'],
  ['a large tag number', '1f81 0100'],
  ['a constructed OCTET STRING', '2404 0402 0000'],
  ['a primitive SEQUENCE', '1000'],
  ['a primitive SET', '1100'],
  ['BOOLEAN 1', '0101 01'],
  ['BOOLEAN of two octets', '0102 ffff'],
  ['BOOLEAN of none', '0100'],
  ['NULL with content', '0501 00'],
  ['INTEGER of no octet', '0200'],
  ['INTEGER with leading zeros', '0202 0001'],
  ['INTEGER with leading ones', '0202 ff80'],
  ['ENUMERATED with leading zeros', '0a02 0001'],
  ['BIT STRING of no octet', '0300'],
  ['BIT STRING with 8 unused bits', '0302 0800'],
  ['empty BIT STRING with unused bits', '0301 01'],
  ['BIT STRING with unused bits set', '0302 0101'],
  ['OID of no octet', '0600'],
  ['OID with padding', '0603 2a8001'],
  ['OID cut short', '0602 2a80'],
  ['a SET out of order', '3106 0201 02 0201 01'],
  ['a BMPString of odd length', '1e01 00'],
];

for (const [what, bytes] of refused) {
  test(`not DER: ${what}`, (t) => {
    t.throws(() => decode(hex(bytes)), { name: 'DerError' });
  });
}

test('size and depth are bounded', (t) => {
  const big = octetString(Buffer.alloc(1000));
  t.throws(() => decodeDer(big, { maxBytes: 1000 }), { name: 'DerError' });
  t.notThrows(() => decodeDer(big, { maxBytes: big.length }));
  let deep: Buffer = derNull;
  for (let i = 0; i < 23; i++) deep = sequence(deep);
  t.notThrows(() => decode(deep));
  t.throws(() => decode(sequence(deep)), { name: 'DerError' });
  t.throws(() => decodeDer(sequence(derNull), { maxBytes: 100, maxDepth: 1 }), {
    name: 'DerError',
  });
  t.throws(() => decode(Buffer.alloc(90_000, 0x30)), { name: 'DerError' });
});

test('a header is accepted only within bounds and in its shortest form', (t) => {
  t.deepEqual(rangeAt(hex('0403 000000'), 0), { tag: 4, contentStart: 2, end: 5 });
  t.deepEqual(rangeAt(hex('ff 0500'), 1), { tag: 5, contentStart: 3, end: 3 });
  const bad = [
    '',
    '04',
    '0401',
    '048101 00',
    '04820080',
    '0480',
    '0485 0000000001 00',
    '1f0100',
    '04847fffffff',
  ];
  for (const bytes of bad) t.throws(() => rangeAt(hex(bytes), 0), { name: 'DerError' }, bytes);
  t.throws(() => rangeAt(hex('0403 000000'), 0, 4), { name: 'DerError' });
});

test('object identifiers are encoded and decoded', (t) => {
  for (const text of [
    '0.9.2342.19200300.100.1.25',
    '1.2.840.113549.1.1.1',
    '2.5.4.3',
    '2.999.1',
    '2.16.840.1.101.3.4.2.1',
  ]) {
    t.is(decodeOid(encodeOid(text)), text);
    t.is(oidOf(decode(oid(text))), text);
  }
  t.is(encodeOid('1.2.840.113549').toString('hex'), '2a864886f70d');
});

test('integers are decoded within their bounds', (t) => {
  for (const value of [0, 1, 127, 128, 255, 256, 65_535, 2 ** 31 - 1])
    t.is(smallNumberOf(decode(integer(value))), value);
  t.throws(() => smallNumberOf(decode(integer(2 ** 31))), { name: 'DerError' });
  t.throws(() => smallNumberOf(decode(hex('0201 ff'))), { name: 'DerError' });
  t.is(serialOf(decode(hex('0202 0080'))), '80');
  t.is(serialOf(decode(hex('0201 00'))), '00');
  t.is(serialOf(decode(unsignedInteger(Buffer.alloc(20, 0xff)))), 'ff'.repeat(20));
  t.throws(() => serialOf(decode(unsignedInteger(Buffer.alloc(21, 1)))), { name: 'DerError' });
  t.throws(() => serialOf(decode(hex('0201 80'))), { name: 'DerError' });
  t.is(integer(2n ** 64n).toString('hex'), '0209010000000000000000');
});

test('named bit lists have no trailing zeros', (t) => {
  t.is(namedBits([0]).toString('hex'), '03020780');
  t.is(namedBits([5, 6]).toString('hex'), '03020106');
  t.is(namedBits([8]).toString('hex'), '0303070080');
  t.is(namedBits([]).toString('hex'), '030100');
});

test('times are encoded and decoded to the second, and invalid times are rejected', (t) => {
  const times = fc.integer({
    min: Date.UTC(1950, 0, 1) / 1000,
    max: Date.UTC(9999, 11, 31) / 1000,
  });
  fc.assert(
    fc.property(times, (seconds) => {
      t.is(timeOf(decode(time(seconds * 1000))), seconds * 1000);
      t.is(timeOf(decode(generalizedTime(seconds * 1000 + 999))), seconds * 1000);
    }),
  );
  t.is(
    time(Date.UTC(2049, 11, 31, 23, 59, 59))
      .toString('latin1')
      .slice(2),
    '491231235959Z',
  );
  t.is(
    time(Date.UTC(2050, 0, 1))
      .toString('latin1')
      .slice(2),
    '20500101000000Z',
  );
  const utc = (text: string): Buffer => element(tags.utcTime, Buffer.from(text));
  const bad = [
    '490101000000',
    '4901010000Z',
    '490101000000+0100',
    '491301000000Z',
    '490230000000Z',
    '490101240000Z',
    '490101006000Z',
    '490101000060Z',
    '49010100000Z',
    '',
  ];
  for (const text of bad) t.throws(() => timeOf(decode(utc(text))), { name: 'DerError' }, text);
  const general = (text: string): Buffer => element(tags.generalizedTime, Buffer.from(text));
  for (const text of ['20500101000000', '20500101000000.5Z', '205001010000Z']) {
    t.throws(() => timeOf(decode(general(text))), { name: 'DerError' }, text);
  }
  t.throws(() => timeOf(decode(derNull)), { name: 'DerError' });
});
