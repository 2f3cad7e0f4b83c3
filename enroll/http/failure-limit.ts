/**
 * The limit of wrong credentials per source.
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { addressPrefix } from '../../core/ip-address.ts';
import { RateLimiter } from '../../core/rate-limiter.ts';

/** Rejected credentials. They count as failures of their source. */
const failures = new Set([
  'token-invalid',
  'token-expired',
  'cmp-protection-invalid',
  'client-certificate-untrusted',
  'api-key-invalid',
  'sign-in-link-invalid',
]);

export class FailureLimit {
  readonly #limiter: RateLimiter;

  constructor(clock: Clock, perMinute: number) {
    this.#limiter = new RateLimiter(clock, perMinute, 60_000);
  }

  /**
   * Counts an error. A source that tries many wrong credentials gets `too-many-requests` for each more. Right
   * ones are accepted all the same, so that one client behind a shared address cannot exclude the others.
   */
  limited(error: FlotillaError, remoteAddress: string): FlotillaError {
    if (!failures.has(error.code)) return error;
    const retryAfterSeconds = this.#limiter.take(addressPrefix(remoteAddress));
    if (retryAfterSeconds === 0) return error;
    return new FlotillaError('too-many-requests', { retryAfterSeconds });
  }
}
