/**
 * Finds the identity that has a text, such as a serial number, among millions of them.
 *
 * A hash table in typed arrays: 8 bytes for each text, where an entry of a Map needs about 100, and the start of a
 * fleet with 2.4 million certificates needs a tenth of the CPU time. The texts are not stored: the rows have them, and
 * each find compares with the row.
 *
 * @module
 */
import type { DeviceId } from '../../core/device-id.ts';
import { textHash } from '../../core/text-hash.ts';
import { WideMap } from '../../core/wide-map.ts';

const slotsMin = 1024;
/** A table that is fuller becomes slow. */
const fillMax = 0.6;
const empty = 0;
const deleted = -1;

export class HolderIndex {
  readonly #has: (holder: DeviceId, text: string) => boolean;
  #hashes = new Uint32Array(slotsMin);
  /** The number of the holder, from 1; {@link empty}; {@link deleted}. */
  #holders = new Int32Array(slotsMin);
  /** Slots that are not empty. */
  #taken = 0;
  #texts = 0;
  readonly #ids: DeviceId[] = [];
  readonly #numbers = new WideMap<DeviceId, number>();
  readonly #free: number[] = [];
  /** The number that was used last; 0: none. */
  #last = 0;
  /** How many texts each holder has. */
  readonly #counts: number[] = [];

  /** @param has whether a holder has a text now, according to its row */
  constructor(has: (holder: DeviceId, text: string) => boolean) {
    this.#has = has;
  }

  /** A text may be added several times for the same holder, and is then removed as often. */
  add(text: string, holder: DeviceId): void {
    if (this.#taken + 1 > this.#holders.length * fillMax) this.#resize();
    const number = this.#numberOf(holder);
    this.#counts[number - 1] = (this.#counts[number - 1] ?? 0) + 1;
    this.#texts++;
    this.#put(textHash(text), number);
  }

  remove(text: string, holder: DeviceId): void {
    const number = this.#numbers.get(holder);
    const hash = textHash(text);
    const mask = this.#holders.length - 1;
    for (let slot = hash & mask; this.#holders[slot] !== empty; slot = (slot + 1) & mask) {
      if (this.#hashes[slot] !== hash || this.#holders[slot] !== number) continue;
      this.#holders[slot] = deleted;
      this.#texts--;
      if (number !== undefined) this.#release(holder, number);
      return;
    }
  }

  /** The holder of a text. */
  find(text: string): DeviceId | undefined {
    const hash = textHash(text);
    const mask = this.#holders.length - 1;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const number = this.#holders[slot] ?? empty;
      if (number === empty) return undefined;
      const id = this.#hashes[slot] === hash ? this.#ids[number - 1] : undefined;
      if (id !== undefined && this.#has(id, text)) return id;
    }
  }

  #numberOf(holder: DeviceId): number {
    // Texts of one holder are added one after the other.
    if (this.#ids[this.#last - 1] === holder) return this.#last;
    const known = this.#numbers.get(holder);
    if (known !== undefined) return (this.#last = known);
    const number = this.#free.pop() ?? this.#ids.length + 1;
    this.#ids[number - 1] = holder;
    this.#counts[number - 1] = 0;
    this.#numbers.set(holder, number);
    return (this.#last = number);
  }

  #release(holder: DeviceId, number: number): void {
    const left = (this.#counts[number - 1] ?? 0) - 1;
    this.#counts[number - 1] = left;
    if (left > 0) return;
    this.#numbers.delete(holder);
    this.#free.push(number);
    this.#last = 0;
  }

  #put(hash: number, number: number): void {
    const mask = this.#holders.length - 1;
    let slot = hash & mask;
    while ((this.#holders[slot] ?? empty) > 0) slot = (slot + 1) & mask;
    if (this.#holders[slot] === empty) this.#taken++;
    this.#hashes[slot] = hash;
    this.#holders[slot] = number;
  }

  /** Makes room, and drops the slots of deleted texts. */
  #resize(): void {
    let slots = slotsMin;
    while (this.#texts + 1 > (slots * fillMax) / 2) slots *= 2;
    const hashes = this.#hashes;
    const holders = this.#holders;
    this.#hashes = new Uint32Array(slots);
    this.#holders = new Int32Array(slots);
    this.#taken = 0;
    for (let slot = 0; slot < holders.length; slot++) {
      const number = holders[slot] ?? empty;
      if (number > 0) this.#put(hashes[slot] ?? 0, number);
    }
  }
}
