import test from 'ava';
import { loadConfig } from '../../../../core/config/config.ts';
import { isLoopback, publicEnrollUrl, publicHost } from '../../../../core/config/public-address.ts';

test('loopback is recognized in all its forms', (t) => {
  for (const host of ['localhost', 'LOCALHOST', '127.0.0.1', '127.8.0.1', '::1', '[::1]']) {
    t.true(isLoopback(host), host);
  }
  for (const host of ['0.0.0.0', '::', '10.0.0.1', 'localhost.example.org', '127.example.org']) {
    t.false(isLoopback(host), host);
  }
});

test('others reach the service by its first name, if it listens beyond loopback', (t) => {
  const names = ['broker.example.com', '203.0.113.7'];
  t.is(publicHost({ names }, '0.0.0.0'), 'broker.example.com');
  t.is(publicHost({ names }, '192.0.2.1'), 'broker.example.com');
  t.is(publicHost({ names }, '127.0.0.1'), '127.0.0.1');
  t.is(publicHost({ names: [] }, '0.0.0.0'), '127.0.0.1');
  t.is(publicHost({ names: [] }, '::'), '::1');
  t.is(publicHost({ names: [] }, '192.0.2.1'), '192.0.2.1');
});

test('enroll.url comes first, and an IPv6 address has brackets', async (t) => {
  const plain = await loadConfig({ flags: { names: ['2001:db8::1'] } });
  t.is(publicEnrollUrl(plain, '::', 8443), 'https://[2001:db8::1]:8443');
  const set = await loadConfig({ flags: { enroll: { url: 'https://pki.example.org' } } });
  t.is(publicEnrollUrl(set, '::', 8443), 'https://pki.example.org');
});
