/**
 * Repeatable random numbers: one stream for each purpose, named by a path below the seed, so that the
 * numbers of one device never depend on when another device draws.
 *
 * Never use it for secrets: keys come from the platform's generator. Seeds are printed and stored in
 * reports, so anybody could compute keys made from them.
 *
 * @module
 */
import { createHash, randomBytes } from 'node:crypto';

/** A stream of numbers that depends only on its seed and path. */
export interface Random {
  /** From 0 (inclusive) to 1 (exclusive). */
  next(): number;
  /** A whole number from 0 (inclusive) to `below` (exclusive). */
  below(below: number): number;
  /** From a normal distribution with mean 0 and standard deviation 1. */
  gaussian(): number;
  /** Waiting time of a Poisson process with mean 1. */
  exponential(): number;
}

/** A new seed: 8 hexadecimal digits from the platform's generator. */
export function newSeed(): string {
  return randomBytes(4).toString('hex');
}

/** The stream of a seed for one purpose, e.g. `seeded('42', 'schedule', 17)`. */
export function seeded(seed: string, ...path: readonly (string | number)[]): Random {
  const hash = createHash('sha256')
    .update(JSON.stringify([seed, ...path]))
    .digest();
  return new SmallFast(hash.readInt32LE(0), hash.readInt32LE(4), hash.readInt32LE(8));
}

/** Shuffles a list in an order that depends only on the stream (Fisher and Yates). */
export function shuffled<T>(list: readonly T[], random: Random): T[] {
  const result = [...list];
  for (let last = result.length - 1; last > 0; last--) {
    const other = random.below(last + 1);
    const kept = result[last] as T;
    result[last] = result[other] as T;
    result[other] = kept;
  }
  return result;
}

/** sfc32 (Doty-Humphrey): small, fast, passes PractRand; four 32-bit numbers of state. */
class SmallFast implements Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(a: number, b: number, c: number) {
    this.#a = a;
    this.#b = b;
    this.#c = c;
    for (let round = 0; round < 12; round++) this.next();
  }

  next(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum;
    this.#c |= 0;
    return (sum >>> 0) / 4_294_967_296;
  }

  below(below: number): number {
    return Math.floor(this.next() * below);
  }

  gaussian(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.next()));
    return radius * Math.cos(2 * Math.PI * this.next());
  }

  exponential(): number {
    return -Math.log(1 - this.next());
  }
}
