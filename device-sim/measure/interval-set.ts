/**
 * A set of integers that are mostly added in order, such as acknowledged or received sequence numbers.
 * It is stored as ranges, so that a device without losses needs two numbers.
 *
 * @module
 */

/** Flat pairs of first and one past the last, in order, with gaps between the ranges. */
export type Ranges = readonly number[];

export class IntervalSet {
  /** Flat pairs, ascending, with gaps between the ranges. */
  #ranges: number[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Adds a number; returns false when the set has it already. */
  add(value: number): boolean {
    const ranges = this.#ranges;
    const last = ranges.length - 2;
    if (last < 0 || value > (ranges[last + 1] ?? 0)) {
      ranges.push(value, value + 1);
    } else if (value === ranges[last + 1]) {
      ranges[last + 1] = value + 1;
    } else if (!this.#insert(value)) {
      return false;
    }
    this.#size++;
    return true;
  }

  has(value: number): boolean {
    const at = this.#find(value);
    return at >= 0 && value < (this.#ranges[at + 1] ?? 0);
  }

  /** One past the highest number; 0 when empty. */
  get end(): number {
    return this.#ranges.at(-1) ?? 0;
  }

  toRanges(): Ranges {
    return [...this.#ranges];
  }

  /** The index of the last range that starts at or before the value; -2 when there is none. */
  #find(value: number): number {
    let low = 0;
    let high = this.#ranges.length / 2;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#ranges[middle * 2] ?? 0) <= value) low = middle + 1;
      else high = middle;
    }
    return (low - 1) * 2;
  }

  #insert(value: number): boolean {
    const ranges = this.#ranges;
    const at = this.#find(value);
    const end = ranges[at + 1] ?? -1;
    if (at >= 0 && value < end) return false;
    const joinsLeft = at >= 0 && value === end;
    const joinsRight = ranges[at + 2] === value + 1;
    if (joinsLeft && joinsRight) ranges.splice(at + 1, 2);
    else if (joinsLeft) ranges[at + 1] = value + 1;
    else if (joinsRight) ranges[at + 2] = value;
    else ranges.splice(at + 2, 0, value, value + 1);
    return true;
  }
}

/** The count of numbers in the ranges. */
export function sizeOfRanges(ranges: Ranges): number {
  let size = 0;
  for (let at = 0; at + 1 < ranges.length; at += 2)
    size += (ranges[at + 1] ?? 0) - (ranges[at] ?? 0);
  return size;
}

/** The ranges of the numbers that are in `wanted` but not in `had`. */
export function missingFrom(wanted: Ranges, had: Ranges): number[] {
  const missing: number[] = [];
  let other = 0;
  for (let at = 0; at + 1 < wanted.length; at += 2) {
    let from = wanted[at] ?? 0;
    const to = wanted[at + 1] ?? 0;
    while (other + 1 < had.length && (had[other + 1] ?? 0) <= from) other += 2;
    let cursor = other;
    while (from < to && cursor + 1 < had.length && (had[cursor] ?? 0) < to) {
      const start = had[cursor] ?? 0;
      if (start > from) missing.push(from, start);
      from = Math.max(from, had[cursor + 1] ?? 0);
      cursor += 2;
    }
    if (from < to) missing.push(from, to);
  }
  return missing;
}
