/**
 * Shares out a fixed number of places, so that whoever asks most cannot take them all: those without
 * a name together at most half, each name at most a tenth.
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

  /** Takes a place. @returns whether there was one; `name` is undefined for those without one */
  take(name: string | undefined): boolean {
    const taken = this.#taken.get(name) ?? 0;
    const own = Math.max(1, Math.floor(this.#total / (name === undefined ? 2 : 10)));
    if (this.#takenInAll >= this.#total || taken >= own) return false;
    this.#taken.set(name, taken + 1);
    this.#takenInAll++;
    return true;
  }

  /** Gives all places back. */
  reset(): void {
    this.#taken.clear();
    this.#takenInAll = 0;
  }
}
