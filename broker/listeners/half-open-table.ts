/**
 * The connections whose TLS handshake is not complete, by source (an IPv4 address, or the /64 of an IPv6
 * address), and which one closes to make room for a new one.
 *
 * When the table is full, the source with the most connections loses one: first those that have sent
 * nothing. So a few addresses with silent connections cannot exclude others.
 *
 * @module
 */

/** A connection whose handshake is not complete. */
export interface HalfOpen {
  readonly source: string;
  readonly sinceMs: number;
}

export interface HalfOpenLimits {
  readonly max: number;
  readonly perSourceMax: number;
}

interface Source<T> {
  /** Those that have sent nothing, the oldest first. */
  readonly silent: Set<T>;
  readonly others: Set<T>;
}

/** How long a connection must have been silent to make room for another one of its source, in ms. */
const silentMinMs = 1000;
/** The last quarter of the room is a reserve, where an unknown source may have a part of what is left. */
const openPart = 3 / 4;
const partOfReserve = 1 / 16;

export class HalfOpenTable<T extends HalfOpen> {
  readonly #limits: HalfOpenLimits;
  readonly #sources = new Map<string, Source<T>>();
  /** The sources with each number of connections. */
  readonly #byCount = new Map<number, Set<string>>();
  #largest = 0;
  #size = 0;

  constructor(limits: HalfOpenLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#size;
  }

  /**
   * Decides about a new connection.
   *
   * @param isKnown whether a device was admitted from this source lately: it may use the reserve
   * @returns `full`: it is to be refused; a connection: this one is to be closed first; undefined: there is
   *   room
   */
  roomFor(source: string, isKnown: boolean, nowMs: number): T | 'full' | undefined {
    const own = this.#countOf(source);
    if (this.#isOverShare(own, isKnown)) return this.#silentOf(source, nowMs) ?? 'full';
    if (this.#size < this.#limits.max) return undefined;
    // Only a source that keeps more than this one makes room.
    if (this.#largest <= own + 1) return this.#silentOf(source, nowMs) ?? 'full';
    const [largest = ''] = this.#byCount.get(this.#largest) ?? [];
    const { silent, others } = this.#sources.get(largest) ?? noSource;
    // The oldest one is the most likely to have stalled.
    const [oldest] = silent.size > 0 ? silent : others;
    return oldest ?? 'full';
  }

  add(connection: T): void {
    const { source } = connection;
    let sets = this.#sources.get(source);
    if (sets === undefined)
      this.#sources.set(source, (sets = { silent: new Set(), others: new Set() }));
    const before = countOf(sets);
    sets.silent.add(connection);
    this.#size++;
    this.#moved(source, before, before + 1);
  }

  /** The first bytes of a connection arrived. */
  spoke(connection: T): void {
    const sets = this.#sources.get(connection.source);
    if (sets?.silent.delete(connection) === true) sets.others.add(connection);
  }

  remove(connection: T): void {
    const { source } = connection;
    const sets = this.#sources.get(source);
    if (sets === undefined) return;
    const before = countOf(sets);
    if (!sets.silent.delete(connection) && !sets.others.delete(connection)) return;
    if (before === 1) this.#sources.delete(source);
    this.#size--;
    this.#moved(source, before, before - 1);
  }

  #isOverShare(own: number, isKnown: boolean): boolean {
    const { max, perSourceMax } = this.#limits;
    if (own >= perSourceMax) return true;
    if (own === 0 || isKnown || this.#size + 1 <= max * openPart) return false;
    return own + 1 > Math.max(0, max - this.#size - 1) * partOfReserve;
  }

  /** The oldest connection of a source that has sent nothing for a while. */
  #silentOf(source: string, nowMs: number): T | undefined {
    const [oldest] = this.#sources.get(source)?.silent ?? [];
    return oldest !== undefined && nowMs - oldest.sinceMs >= silentMinMs ? oldest : undefined;
  }

  #countOf(source: string): number {
    const sets = this.#sources.get(source);
    return sets === undefined ? 0 : countOf(sets);
  }

  #moved(source: string, from: number, to: number): void {
    const old = this.#byCount.get(from);
    old?.delete(source);
    if (old?.size === 0) this.#byCount.delete(from);
    if (to > 0) {
      const now = this.#byCount.get(to);
      if (now === undefined) this.#byCount.set(to, new Set([source]));
      else now.add(source);
    }
    // A count changes by one, so the largest one does too.
    if (to > this.#largest) this.#largest = to;
    else if (from === this.#largest && !this.#byCount.has(from)) this.#largest = to;
  }
}

const noSource: Source<never> = { silent: new Set(), others: new Set() };

function countOf<T>({ silent, others }: Source<T>): number {
  return silent.size + others.size;
}
