/**
 * Distributes a fixed number of places, so that no single caller can take all of them: callers without
 * a name get at most half together, and each name gets at most a tenth.
 *
 * @module
 */

export class FairShare {
  readonly #total: number;
  readonly #taken = new Map<string | undefined, number>();
  #takenInAll = 0;

  /** @param total how many places there are until {@link reset} */
  constructor(total: number) {
    this.#total = total;
  }

  /**
   * Takes a place.
   *
   * @param name undefined for callers without a name
   * @returns whether there was a place
   */
  take(name: string | undefined): boolean {
    const taken = this.#taken.get(name) ?? 0;
    const own = Math.max(1, Math.floor(this.#total / (name === undefined ? 2 : 10)));
    if (this.#takenInAll >= this.#total || taken >= own) return false;
    this.#taken.set(name, taken + 1);
    this.#takenInAll++;
    return true;
  }

  /** Releases all places. */
  reset(): void {
    this.#taken.clear();
    this.#takenInAll = 0;
  }
}
