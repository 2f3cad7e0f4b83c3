/**
 * The error because of which the broker must stop.
 *
 * @module
 */
import type { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { Logger } from '../../core/log.ts';

/** Holds the first fatal error and notifies whoever waits for it. */
export class FatalError {
  readonly #log: Logger;
  readonly #occurred = Promise.withResolvers<FlotillaError>();
  #error: FlotillaError | undefined;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** The first fatal error; undefined while the broker works. */
  get error(): FlotillaError | undefined {
    return this.#error;
  }

  /** Resolves with the first fatal error. */
  get occurred(): Promise<FlotillaError> {
    return this.#occurred.promise;
  }

  set(error: FlotillaError): void {
    if (this.#error !== undefined) return;
    this.#error = error;
    this.#log.error({ code: error.code, err: error }, 'fatal error, the broker must stop');
    this.#occurred.resolve(error);
  }
}
