/**
 * A histogram of durations with bounded memory. Histograms can be merged, so that percentiles can be
 * computed over many processes.
 *
 * Values are microseconds. There are 64 buckets per power of two, so percentiles are accurate to 0.8 %;
 * minimum and maximum are exact.
 *
 * @module
 */

const stepBits = 6;
const steps = 1 << stepBits;
/** Up to 2^36 µs: 19 hours. */
const bucketsMax = (36 - stepBits + 1) * steps;

/** A serialized histogram: pairs of bucket index and count, in order. */
export interface HistogramData {
  readonly buckets: readonly number[];
  readonly count: number;
  readonly sum: number;
  readonly min: number;
  readonly max: number;
}

/** Percentiles for the report, in ms. */
export interface Percentiles {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
  readonly count: number;
}

/** The shape of a histogram for plots, in ms. */
export interface Distribution {
  /** Ranges with their counts, in order; ranges without values are omitted. */
  readonly buckets: readonly (readonly [fromMs: number, toMs: number, count: number])[];
  /** Points of the percentile curve; the shares approach 1 in logarithmic steps. */
  readonly percentiles: readonly (readonly [share: number, ms: number])[];
}

/** Fine buckets in one bucket of a distribution: 8 per power of two remain. */
const fineBucketsShift = 3;
/** Points of the percentile curve per factor of ten of the remaining share. */
const pointsPerDecade = 8;

export class Histogram {
  #counts = new Uint32Array(256);
  #count = 0;
  #sum = 0;
  #min = Infinity;
  #max = 0;

  get count(): number {
    return this.#count;
  }

  /** Adds one value. Negative values, which come from adjusted clocks, count as 0. */
  add(microseconds: number): void {
    const value = microseconds > 0 ? Math.round(microseconds) : 0;
    const index = indexOf(value);
    if (index >= this.#counts.length) this.#grow(index);
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
    this.#count++;
    this.#sum += value;
    if (value < this.#min) this.#min = value;
    if (value > this.#max) this.#max = value;
  }

  /** Adds all values of another one. */
  merge(data: HistogramData): void {
    for (let at = 0; at + 1 < data.buckets.length; at += 2) {
      const index = data.buckets[at] ?? 0;
      if (index < 0 || index >= bucketsMax) continue;
      if (index >= this.#counts.length) this.#grow(index);
      this.#counts[index] = (this.#counts[index] ?? 0) + (data.buckets[at + 1] ?? 0);
    }
    if (data.count === 0) return;
    this.#count += data.count;
    this.#sum += data.sum;
    this.#min = Math.min(this.#min, data.min);
    this.#max = Math.max(this.#max, data.max);
  }

  /** The value in µs that a share (0 to 1) of all values do not exceed; 0 when empty. */
  percentile(share: number): number {
    if (this.#count === 0) return 0;
    const rank = Math.max(1, Math.ceil(share * this.#count));
    let seen = 0;
    for (let index = 0; index < this.#counts.length; index++) {
      seen += this.#counts[index] ?? 0;
      if (seen >= rank) return Math.min(this.#max, Math.max(this.#min, middleOf(index)));
    }
    return this.#max;
  }

  mean(): number {
    return this.#count === 0 ? 0 : this.#sum / this.#count;
  }

  /** For reports: milliseconds with three decimals. */
  percentiles(): Percentiles {
    return {
      p50: milliseconds(this.percentile(0.5)),
      p95: milliseconds(this.percentile(0.95)),
      p99: milliseconds(this.percentile(0.99)),
      max: milliseconds(this.#max),
      count: this.#count,
    };
  }

  /** The shape for plots; both lists are empty when the histogram is empty. */
  distribution(): Distribution {
    const counts = new Map<number, number>();
    for (const [index, count] of this.#counts.entries()) {
      if (count === 0) continue;
      const group = index >> fineBucketsShift;
      counts.set(group, (counts.get(group) ?? 0) + count);
    }
    const buckets = [...counts].map(([group, count]): [number, number, number] => [
      milliseconds(startOf(group << fineBucketsShift)),
      milliseconds(startOf((group + 1) << fineBucketsShift)),
      count,
    ]);
    const percentiles: [number, number][] = [];
    for (let point = 0; this.#count * 10 ** (-point / pointsPerDecade) >= 1; point++) {
      const share = 1 - 10 ** (-point / pointsPerDecade);
      percentiles.push([rounded(share), milliseconds(this.percentile(share))]);
    }
    if (this.#count > 0) percentiles.push([1, milliseconds(this.#max)]);
    return { buckets, percentiles };
  }

  toData(): HistogramData {
    const buckets: number[] = [];
    for (const [index, count] of this.#counts.entries()) if (count > 0) buckets.push(index, count);
    return {
      buckets,
      count: this.#count,
      sum: this.#sum,
      min: this.#count === 0 ? 0 : this.#min,
      max: this.#max,
    };
  }

  /** Returns the content and empties the histogram. */
  take(): HistogramData {
    const data = this.toData();
    this.#counts.fill(0);
    this.#count = 0;
    this.#sum = 0;
    this.#min = Infinity;
    this.#max = 0;
    return data;
  }

  #grow(index: number): void {
    const wider = new Uint32Array(
      Math.min(bucketsMax, Math.max(this.#counts.length * 2, index + 1)),
    );
    wider.set(this.#counts);
    this.#counts = wider;
  }
}

function indexOf(value: number): number {
  if (value < steps) return value;
  const exponent = 31 - Math.clz32(value < 2 ** 31 ? value : Math.floor(value / 2 ** 8));
  const power = value < 2 ** 31 ? exponent : exponent + 8;
  const within = Math.floor(value / 2 ** (power - stepBits)) - steps;
  return Math.min(bucketsMax - 1, (power - stepBits + 1) * steps + within);
}

function middleOf(index: number): number {
  if (index < steps) return index;
  return startOf(index) + 2 ** (Math.floor(index / steps) - 1) / 2;
}

/** The smallest value of a bucket, in µs. */
function startOf(index: number): number {
  if (index < steps) return index;
  const power = Math.floor(index / steps) + stepBits - 1;
  return 2 ** power + (index % steps) * 2 ** (power - stepBits);
}

function rounded(share: number): number {
  return Math.round(share * 1e8) / 1e8;
}

function milliseconds(microseconds: number): number {
  return Math.round(microseconds) / 1000;
}
