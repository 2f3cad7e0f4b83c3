/** The header of the PROXY protocol, versions 1 and 2. @module */
import test from 'ava';
import { looksLikeProxyHeader, parseProxyHeader } from '../../../core/proxy-header.ts';

const signature = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');

function v2(versionCommand: number, family: number, content: Buffer, length?: number): Buffer {
  const head = Buffer.from([versionCommand, family, 0, 0]);
  head.writeUInt16BE(length ?? content.length, 2);
  return Buffer.concat([signature, head, content]);
}

const ipv4 = Buffer.from([203, 0, 113, 7, 10, 0, 0, 1, 0xdc, 0x04, 0x22, 0xb3]);
const ipv6 = Buffer.from(
  `20010db800000000000000000000000720010db8000000000000000000000001dc0422b3`,
  'hex',
);

test('version 1 reports the address of the client, and the rest is not read', (t) => {
  const line = 'PROXY TCP4 203.0.113.7 10.0.0.1 56324 8883\r\n';
  t.deepEqual(parseProxyHeader(Buffer.from(`${line}\x16\x03\x01`)), {
    kind: 'header',
    bytes: line.length,
    source: { address: '203.0.113.7', port: 56_324 },
  });
  const six = parseProxyHeader(Buffer.from('PROXY TCP6 2001:db8::7 2001:db8::1 1 65535\r\n'));
  t.like(six, { kind: 'header', source: { address: '2001:db8::7', port: 1 } });
  t.like(parseProxyHeader(Buffer.from('PROXY UNKNOWN\r\n')), { kind: 'header', bytes: 15 });
});

test('version 2 reports the address of the client, and extensions are skipped', (t) => {
  const extension = Buffer.from([0x03, 0, 4, 1, 2, 3, 4]);
  const four = v2(0x21, 0x11, Buffer.concat([ipv4, extension]));
  t.deepEqual(parseProxyHeader(Buffer.concat([four, Buffer.from([0x16])])), {
    kind: 'header',
    bytes: four.length,
    source: { address: '203.0.113.7', port: 56_324 },
  });
  t.like(parseProxyHeader(v2(0x21, 0x21, ipv6)), {
    kind: 'header',
    source: { address: '2001:db8::7', port: 56_324 },
  });
});

test('a health check of the balancer and a UNIX socket have no address', (t) => {
  for (const header of [v2(0x20, 0x11, ipv4), v2(0x20, 0, Buffer.alloc(0)), v2(0x21, 0, ipv4)]) {
    t.deepEqual(parseProxyHeader(header), {
      kind: 'header',
      bytes: header.length,
      source: undefined,
    });
  }
  t.like(parseProxyHeader(v2(0x21, 0x31, Buffer.alloc(216))), { kind: 'header' });
});

test('every beginning of a header is incomplete', (t) => {
  const line = Buffer.from('PROXY TCP4 203.0.113.7 10.0.0.1 56324 8883\r\n');
  for (const whole of [line, v2(0x21, 0x11, ipv4), v2(0x21, 0x21, ipv6)]) {
    for (let length = 1; length < whole.length; length++) {
      t.deepEqual(parseProxyHeader(whole.subarray(0, length)), { kind: 'incomplete' });
    }
  }
});

test('a connection without a header is recognized by its first byte', (t) => {
  t.deepEqual(parseProxyHeader(Buffer.from([0x16, 3, 1, 2, 0])), { kind: 'missing' });
  t.deepEqual(parseProxyHeader(Buffer.from('PROXZ')), { kind: 'missing' });
  t.false(looksLikeProxyHeader(Buffer.from([0x16])));
  t.true(looksLikeProxyHeader(Buffer.from('P')));
  t.true(looksLikeProxyHeader(signature));
});

test('invalid headers are refused', (t) => {
  for (const line of [
    'PROXY TCP4 203.0.113.7 10.0.0.1 56324 65536',
    'PROXY TCP4 203.0.113.7 10.0.0.1 -1 8883',
    'PROXY TCP4 203.0.113.7 10.0.0.1 1 8883 x',
    'PROXY TCP4 203.0.113 10.0.0.1 1 8883',
    'PROXY TCP6 203.0.113.7 10.0.0.1 1 8883',
    'PROXY TCP4  203.0.113.7 10.0.0.1 1 8883',
    'PROXY UDP4 203.0.113.7 10.0.0.1 1 8883',
    'PROXY ',
  ]) {
    t.is(parseProxyHeader(Buffer.from(`${line}\r\n`)).kind, 'invalid', line);
  }
  t.is(parseProxyHeader(Buffer.from(`PROXY TCP4 ${'1'.repeat(200)}`)).kind, 'invalid');
  for (const header of [
    v2(0x11, 0x11, ipv4),
    v2(0x22, 0x11, ipv4),
    v2(0x21, 0x12, ipv4),
    v2(0x21, 0x11, ipv4.subarray(0, 11)),
    v2(0x21, 0x21, ipv4),
    v2(0x21, 0x11, ipv4, 5000),
  ]) {
    t.is(parseProxyHeader(header).kind, 'invalid', header.toString('hex'));
  }
});
