import test from 'ava';
import { unmappedAddress } from '../../../core/ip-address.ts';

test('an IPv4-mapped address becomes its IPv4 address, any other stays unchanged', (t) => {
  t.deepEqual(['::ffff:10.0.0.1', '10.0.0.1', '::1', '::ffff:c000:201', ''].map(unmappedAddress), [
    '10.0.0.1',
    '10.0.0.1',
    '::1',
    '::ffff:c000:201',
    '',
  ]);
});
