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

  entries(): MapIterator<[K, V]> {
    return new PartsIterator(this.#parts, (part) => part.entries());
  }

  keys(): MapIterator<K> {
    return new PartsIterator(this.#parts, (part) => part.keys());
  }

  values(): MapIterator<V> {
    return new PartsIterator(this.#parts, (part) => part.values());
  }

  [Symbol.iterator](): MapIterator<[K, V]> {
    return this.entries();
  }

  forEach(call: (value: V, key: K, map: ReadonlyMap<K, V>) => void): void {
    for (const part of this.#parts) part?.forEach((value, key) => call(value, key, this));
  }
}

/** Visits the entries of one part after the other. A generator would need several times as long. */
class PartsIterator<K, V, T> extends Iterator<T, undefined> {
  readonly #parts: readonly (Map<K, V> | undefined)[];
  readonly #iteratorOf: (part: Map<K, V>) => MapIterator<T>;
  #current: MapIterator<T> | undefined;
  #nextPart = 0;

  constructor(
    parts: readonly (Map<K, V> | undefined)[],
    iteratorOf: (part: Map<K, V>) => MapIterator<T>,
  ) {
    super();
    this.#parts = parts;
    this.#iteratorOf = iteratorOf;
  }

  next(): IteratorResult<T, undefined> {
    for (;;) {
      const step = this.#current?.next();
      if (step !== undefined && step.done !== true) return step;
      if (this.#nextPart >= this.#parts.length) return { done: true, value: undefined };
      const part = this.#parts[this.#nextPart++];
      this.#current = part && this.#iteratorOf(part);
    }
  }
}

function partOf(key: string): number {
  return textHash(key) & (partsMax - 1);
}
