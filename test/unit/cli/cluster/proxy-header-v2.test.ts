import test from 'ava';
import { proxyHeaderV2 } from '../../../../cli/cluster/proxy-header-v2.ts';
import { parseProxyHeader } from '../../../../core/proxy-header.ts';

for (const [reported, local, address] of [
  ['203.0.113.9', '127.0.0.1', '203.0.113.9'],
  ['::ffff:203.0.113.9', '::ffff:127.0.0.1', '203.0.113.9'],
  ['2001:db8::7', '::1', '2001:db8::7'],
  ['fe80::1%eth0', 'fe80::2%eth0', 'fe80::1'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8::', '2001:db8:1:2:3:4:5:6'],
] as const) {
  test(`the header reports the client ${reported} to ${local}`, (t) => {
    const header = proxyHeaderV2({
      ...{ remoteAddress: reported, remotePort: 40_000, localAddress: local, localPort: 8883 },
    });
    t.deepEqual(parseProxyHeader(header), {
      kind: 'header',
      bytes: header.length,
      source: { address, port: 40_000 },
    });
  });
}

test('the header of a client that is gone names no address', (t) => {
  const header = proxyHeaderV2({ remoteAddress: undefined, remotePort: undefined });
  t.deepEqual(parseProxyHeader(header), { kind: 'header', bytes: 16, source: undefined });
});
