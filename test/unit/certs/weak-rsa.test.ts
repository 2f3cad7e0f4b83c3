import { generatePrimeSync } from 'node:crypto';
import test from 'ava';
import {
  derNull,
  integer,
  oid,
  sequence,
  bitString,
  unsignedInteger,
} from '../../../certs/der-encode.ts';
import { oids } from '../../../certs/oids.ts';
import { readSpkiBytes } from '../../../certs/public-key.ts';
import { rsaWeakness } from '../../../certs/weak-rsa.ts';
import { keyFor } from '../../support/certs-world.ts';

const bytesOf = (n: bigint): Buffer => Buffer.from(n.toString(16), 'hex');
const spkiOfModulus = (n: bigint): Buffer =>
  sequence(
    sequence(oid(oids.rsaEncryption), derNull),
    bitString(sequence(unsignedInteger(bytesOf(n)), integer(65_537))),
  );
const refused = (n: bigint): RegExpMatchArray | null => {
  try {
    readSpkiBytes(spkiOfModulus(n));
    return null;
  } catch (error) {
    return /modulus with (.*?)\. /.exec(String(error));
  }
};

test('good keys have no weakness', async (t) => {
  for (const type of ['rsa2048', 'rsa3072', 'rsa4096'] as const) {
    const { n = '' } = (await keyFor(type, 'subject')).export({ format: 'jwk' });
    t.is(rsaWeakness(Buffer.from(n, 'base64url')), undefined);
  }
});

test('a modulus with a small factor is rejected', (t) => {
  for (const factor of [3n, 7n, 101n, 167n, 173n, 401n, 751n]) {
    let n = (1n << 2047n) + 1n;
    while (n % factor !== 0n || [3n, 5n, 7n].some((small) => small < factor && n % small === 0n))
      n += 2n;
    t.regex(refused(n)?.[1] ?? '', /^the factor \d+$/);
  }
});

test('a prime as modulus is rejected', (t) => {
  const prime = generatePrimeSync(2048, { bigint: true });
  t.is(refused(prime)?.[1], 'a prime instead of a product');
});

test('two primes close to each other are rejected, others are not', (t) => {
  const p = generatePrimeSync(1024, { bigint: true });
  // The next prime is a few hundred away, like the keys of the printers. Here any number without a
  // small factor is sufficient.
  const hasSmallFactor = (n: bigint): boolean => {
    for (let factor = 3n; factor < 752n; factor += 2n) if (n % factor === 0n) return true;
    return false;
  };
  let q = p + 2n;
  while (hasSmallFactor(q)) q += 2n;
  t.is(rsaWeakness(bytesOf(p * q)), 'two factors close to each other');
  t.is(rsaWeakness(bytesOf(p * p)), 'two factors close to each other');
  const apart = generatePrimeSync(1024, { bigint: true });
  t.is(rsaWeakness(bytesOf(p * apart)), undefined);
});

test('keys with the ROCA fingerprint are rejected', (t) => {
  // Such a prime is k * M + (65537^a mod M), M the product of the first primes; the product of two
  // is again a power of 65537 modulo each of them.
  let product = 1n;
  for (let prime = 2n; prime <= 167n; prime += 1n) {
    let isPrime = true;
    for (let divisor = 2n; divisor * divisor <= prime; divisor += 1n)
      isPrime &&= prime % divisor !== 0n;
    if (isPrime) product *= prime;
  }
  let power = 1n;
  for (let i = 0; i < 12_345; i++) power = (power * 65_537n) % product;
  const k = ((1n << 2047n) + (1n << 2000n)) / product + 1n;
  t.regex(refused(k * product + power)?.[1] ?? '', /ROCA/);
  t.is(refused(k * product + power + 2n)?.[1]?.includes('ROCA') ?? false, false);
});
