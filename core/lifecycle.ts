/**
 * Ordered start, reverse close: what started last is closed first, and a start that fails half way
 * closes what it had opened.
 *
 * @module
 */

/** Gives everything back. Safe to call twice; the second call waits for the first. */
export type Close = () => Promise<void>;

/** A stack of things to close. */
export class Lifecycle {
  readonly #steps: { name: string; close: () => Promise<void> | void }[] = [];
  #closing: Promise<void> | undefined;

  /**
   * Remembers how to close what was just started. What is added when closing has begun, by a start
   * that lost the race, is closed at once: whoever awaits {@link close} after that awaits it too.
   */
  add(name: string, close: () => Promise<void> | void): void {
    this.#steps.push({ name, close });
    if (this.#closing === undefined) return;
    this.#closing = Promise.allSettled([this.#closing]).then(async ([before]) => {
      await this.#closeAll();
      if (before.status === 'rejected') throw before.reason;
    });
    this.#closing.catch(() => undefined);
  }

  /**
   * Runs `start`; when it throws, closes all that was added and throws on.
   */
  async guard<T>(start: () => Promise<T>): Promise<T> {
    try {
      return await start();
    } catch (error) {
      await this.close().catch(() => undefined);
      throw error;
    }
  }

  /**
   * Closes in reverse order. Every step runs, even when one before it failed.
   *
   * @throws AggregateError with all failures, each named by its step.
   */
  readonly close: Close = () => (this.#closing ??= this.#closeAll());

  async #closeAll(): Promise<void> {
    const failures: Error[] = [];
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        await step.close();
      } catch (error) {
        failures.push(new Error(`closing ${step.name} failed`, { cause: error }));
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, 'not everything could be closed');
  }
}
