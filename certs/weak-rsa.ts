/**
 * Weak RSA keys, as real devices have shipped them: the modulus has a
 * small factor, two factors too close to each other (printers, CVE-2022-26320), or the structure of
 * a broken chip library (TPMs and smart cards, ROCA, CVE-2017-15361). Anybody can then compute the
 * private key from the certificate.
 *
 * These are the checks that the CA/Browser Forum requires of public CAs (Baseline Requirements, 6.1.1.3 and 6.1.6),
 * except for the lists of Debian keys of 2008, which are larger than all of Flotilla. A modulus that is a prime is
 * refused as well: its private key is known to everybody. Takes 3 ms for
 * 2048 bits and 19 ms for 4096 bits on a slow machine, nearly all of it for the test of primality.
 *
 * @module
 */
import { checkPrimeSync } from 'node:crypto';

/** Returns the weakness of a modulus, or undefined if none is known. */
export function rsaWeakness(modulus: Uint8Array): string | undefined {
  const n = BigInt(`0x${Buffer.from(modulus).toString('hex')}`);
  let infineon = true;
  for (const [prime, powers] of powersByPrime) {
    const remainder = Number(n % BigInt(prime));
    if (remainder === 0) return `the factor ${prime}`;
    infineon &&= powers.has(remainder);
  }
  for (const prime of furtherPrimes) {
    if (n % prime === 0n) return `the factor ${prime}`;
  }
  // Each remainder is a power of 65537: by chance for one key in 2^27, and for all keys with the ROCA weakness.
  if (infineon) return 'the fingerprint of a broken key generator (ROCA)';
  if (hasCloseFactors(n)) return 'two factors close to each other';
  return checkPrimeSync(n, { checks: primeRounds }) ? 'a prime instead of a product' : undefined;
}

/** A composite modulus of two large primes fails the first round with near certainty, so rounds cost nothing. */
const primeRounds = 8;

/** Fermat's method, with as many rounds as the Baseline Requirements require. */
const fermatRounds = 100;

function hasCloseFactors(n: bigint): boolean {
  let a = squareRoot(n);
  if (a * a < n) a += 1n;
  let difference = a * a - n;
  for (let round = 0; round < fermatRounds; round++) {
    if (isSquare(difference)) return true;
    difference += 2n * a + 1n;
    a += 1n;
  }
  return false;
}

function isSquare(value: bigint): boolean {
  // Squares have few remainders: this excludes all but one in 50 of the other numbers.
  if (!squaresOf64.has(Number(value & 63n)) || !squaresOf45.has(Number(value % 45n))) return false;
  const root = squareRoot(value);
  return root * root === value;
}

/** The largest integer whose square is at most `value`: Newton's method, from above. */
function squareRoot(value: bigint): bigint {
  if (value < 2n) return value;
  let root = 1n << BigInt(Math.ceil(value.toString(16).length * 2));
  for (;;) {
    const next = (root + value / root) >> 1n;
    if (next >= root) return root;
    root = next;
  }
}

const squaresOf = (modulus: number): ReadonlySet<number> =>
  new Set(Array.from({ length: modulus }, (_, value) => (value * value) % modulus));
const squaresOf64 = squaresOf(64);
const squaresOf45 = squaresOf(45);

/** The odd primes below 168, each with the powers of 65537 modulo it. */
const powersByPrime = new Map<number, ReadonlySet<number>>();
for (let candidate = 3; candidate < 168; candidate += 2) {
  if ([...powersByPrime.keys()].some((prime) => candidate % prime === 0)) continue;
  const powers = new Set<number>();
  for (let power = 1; !powers.has(power); power = (power * 65_537) % candidate) powers.add(power);
  powersByPrime.set(candidate, powers);
}

/** The primes from 173 to 751: a modulus must not have a factor below 752. */
const furtherPrimes: readonly bigint[] = Array.from({ length: 752 - 169 }, (_none, at) => 169 + at)
  .filter((number) => isSmallPrime(number))
  .map(BigInt);

function isSmallPrime(number: number): boolean {
  for (let factor = 2; factor * factor <= number; factor++) {
    if (number % factor === 0) return false;
  }
  return true;
}
