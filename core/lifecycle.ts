/**
 * Closes resources in the reverse order of their start. A start that fails closes everything that it
 * had opened.
 *
 * @module
 */

/** Releases all resources. Can be called twice; the second call waits for the first. */
export type Close = () => Promise<void>;

/** A stack of resources to close. */
export class Lifecycle {
  readonly #steps: { name: string; close: () => Promise<void> | void }[] = [];
  #closing: Promise<void> | undefined;

  /**
   * Adds a function that closes something that was just started. If closing has already begun, because
   * the start was too late, the function runs immediately; a later call of {@link close} waits for it.
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
   * Runs `start`. If it throws, closes everything that was added and rethrows.
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
   * Closes in reverse order. Every step runs, even if a step before it failed.
   *
   * @throws AggregateError with all failures, each with the name of its step
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
