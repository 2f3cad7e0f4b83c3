/**
 * Counts how often something happens in each turn of the event loop.
 *
 * @module
 */

export class TurnCounts {
  /** The turns in which it happened, with the number of times. */
  readonly counts: number[] = [];
  #isTurnOpen = false;

  get total(): number {
    return this.counts.reduce((all, one) => all + one, 0);
  }

  /** The largest number of one turn. */
  get max(): number {
    return Math.max(0, ...this.counts);
  }

  add(): void {
    if (!this.#isTurnOpen) {
      this.#isTurnOpen = true;
      this.counts.push(0);
      setImmediate(() => (this.#isTurnOpen = false));
    }
    this.counts[this.counts.length - 1]!++;
  }
}
