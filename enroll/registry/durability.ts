/**
 * Which commits are durable, and who waits for them.
 *
 * @module
 */
interface Waiter {
  readonly number: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class Durability {
  #number = 0;
  #waiters: Waiter[] = [];

  /** The newest commit that is durable. */
  get number(): number {
    return this.#number;
  }

  /** Sets the newest durable commit without a notification: at the start, and after a rollback. */
  reset(number: number): void {
    this.#number = number;
  }

  /** Reports that commits up to a number are durable. */
  advance(number: number): void {
    this.#number = number;
    this.#waiters = this.#waiters.filter((waiter) => {
      if (waiter.number > number) return true;
      waiter.resolve();
      return false;
    });
  }

  /** Resolves when a commit is durable. */
  upTo(number: number): Promise<void> {
    if (number <= this.#number) return Promise.resolve();
    return new Promise((resolve, reject) => this.#waiters.push({ number, resolve, reject }));
  }

  /** Rejects everyone who waits. */
  fail(error: unknown): void {
    for (const { reject } of this.#waiters.splice(0)) reject(error);
  }
}
