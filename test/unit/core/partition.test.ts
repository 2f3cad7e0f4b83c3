import test from 'ava';
import { partitionName, partitionOf } from '../../../core/partition.ts';

/** More than any hash. */
const whole = 2 ** 32;

test('the hash of a key is FNV-1a with 32 bits over its UTF-8 bytes', (t) => {
  t.is(partitionOf('', whole), 0x811c9dc5);
  t.is(partitionOf('a', whole), 0xe40c292c);
  t.is(partitionOf('foobar', whole), 0xbf9cf968);
  // The bytes c3 a9, and f0 9f 9a a2.
  t.is(partitionOf('é', whole), hashOf([0xc3, 0xa9]));
  t.is(partitionOf('aé🚢', whole), hashOf([0x61, 0xc3, 0xa9, 0xf0, 0x9f, 0x9a, 0xa2]));
});

/** The definition, with arithmetic that cannot overflow. */
function hashOf(bytes: readonly number[]): number {
  const step = (hash: bigint, byte: number): bigint =>
    ((hash ^ BigInt(byte)) * 0x01000193n) % 2n ** 32n;
  return Number(bytes.reduce(step, 0x811c9dc5n));
}

test('keys are divided evenly among the partitions', (t) => {
  const counts = Array.from({ length: 16 }, () => 0);
  for (let one = 0; one < 16_000; one++) {
    const index = partitionOf(`device-${one}`, 16);
    counts[index] = (counts[index] ?? 0) + 1;
  }
  t.true(Math.min(...counts) > 800, counts.join(' '));
  t.true(Math.max(...counts) < 1200, counts.join(' '));
  t.is(partitionName(15), 'p15');
});
