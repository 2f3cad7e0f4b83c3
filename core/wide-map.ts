/**
 * A map for hundreds of thousands of entries, made of 64 smaller ones.
 *
 * A Map that is full is copied into one of twice the size, in one turn of the event loop: that takes about 90 ms at
 * 262,144 entries. A part of this map has a 64th of the entries, and the parts grow at different times.
 *
 * @module
 */
import { textHash } from './text-hash.ts';

const partsMax = 64;

/** Entries are visited part by part, so that the order has no meaning. */
export class WideMap<K extends string, V> implements ReadonlyMap<K, V> {
  readonly #parts: (Map<K, V> | undefined)[] = Array.from({ length: partsMax }, () => undefined);
  #size = 0;

  constructor(entries: Iterable<readonly [K, V]> = []) {
    for (const [key, value] of entries) this.set(key, value);
  }

  get size(): number {
    return this.#size;
  }

  get(key: K): V | undefined {
    return this.#parts[partOf(key)]?.get(key);
  }

  has(key: K): boolean {
    return this.#parts[partOf(key)]?.has(key) ?? false;
  }

  set(key: K, value: V): this {
    const part = (this.#parts[partOf(key)] ??= new Map<K, V>());
    const before = part.size;
    part.set(key, value);
    this.#size += part.size - before;
    return this;
  }

  delete(key: K): boolean {
    const isDeleted = this.#parts[partOf(key)]?.delete(key) ?? false;
    if (isDeleted) this.#size--;
    return isDeleted;
  }

  clear(): void {
    this.#parts.fill(undefined);
    this.#size = 0;
  }

  *entries(): Generator<[K, V], undefined> {
    for (const part of this.#parts) if (part !== undefined) yield* part;
    return undefined;
  }

  *keys(): Generator<K, undefined> {
    for (const part of this.#parts) if (part !== undefined) yield* part.keys();
    return undefined;
  }

  *values(): Generator<V, undefined> {
    for (const part of this.#parts) if (part !== undefined) yield* part.values();
    return undefined;
  }

  [Symbol.iterator](): Generator<[K, V], undefined> {
    return this.entries();
  }

  forEach(call: (value: V, key: K, map: ReadonlyMap<K, V>) => void): void {
    for (const [key, value] of this) call(value, key, this);
  }
}

function partOf(key: string): number {
  return textHash(key) & (partsMax - 1);
}
