/**
 * Why the store cannot be written at the moment: the local disk, or the database. A listener is called when that changes.
 *
 * @module
 */
export type StallPlace = 'disk' | 'database';

export class StallReasons {
  readonly #changed: (reason: string | undefined) => void;
  readonly #reasons = new Map<StallPlace, string>();
  readonly #timers = new Map<StallPlace, NodeJS.Timeout>();

  constructor(changed: (reason: string | undefined) => void) {
    this.#changed = changed;
  }

  /** The first reason; undefined while the store is written. */
  get current(): string | undefined {
    const [first] = this.#reasons.values();
    return first;
  }

  set(place: StallPlace, reason: string): void {
    this.#stopTimer(place);
    const before = this.current;
    this.#reasons.set(place, reason);
    if (this.current !== before) this.#changed(this.current);
  }

  /** Sets the reason if it is not cleared within a time. A reason that is set or planned stays. */
  plan(place: StallPlace, reason: string, ms: number): void {
    if (this.#timers.has(place) || this.#reasons.has(place)) return;
    this.#timers.set(
      place,
      setTimeout(() => this.set(place, reason), ms),
    );
  }

  clear(place: StallPlace): void {
    this.#stopTimer(place);
    const before = this.current;
    this.#reasons.delete(place);
    if (this.current !== before) this.#changed(this.current);
  }

  /** Forgets what is planned. */
  stop(): void {
    for (const place of [...this.#timers.keys()]) this.#stopTimer(place);
  }

  #stopTimer(place: StallPlace): void {
    clearTimeout(this.#timers.get(place));
    this.#timers.delete(place);
  }
}
