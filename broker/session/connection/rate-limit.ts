/**
 * Two token buckets limit how much one connection may send. A client over its rate is not
 * disconnected: its socket is not read until it is below the rate again, and TCP slows it down.
 *
 * @module
 */
import { TokenBucket } from '../../../core/token-bucket.ts';

export interface RateLimits {
  /** 0: no limit. */
  readonly messagesPerSecond: number;
  readonly messagesBurst: number;
  readonly bytesPerSecond: number;
  readonly bytesBurst: number;
}

export class RateLimit {
  readonly #messages: TokenBucket | undefined;
  readonly #bytes: TokenBucket | undefined;

  constructor(limits: RateLimits, nowMs: number) {
    this.#messages = bucket(limits.messagesPerSecond, limits.messagesBurst, nowMs);
    this.#bytes = bucket(limits.bytesPerSecond, limits.bytesBurst, nowMs);
  }

  /** Takes one message. @returns how long to pause reading, in ms; 0: not at all */
  message(nowMs: number): number {
    return this.#messages?.take(1, nowMs) ?? 0;
  }

  /** Takes bytes. @returns how long to pause reading, in ms */
  bytes(count: number, nowMs: number): number {
    return this.#bytes?.take(count, nowMs) ?? 0;
  }
}

/** Returns undefined when there is no limit. */
export function rateLimitOf(limits: RateLimits, nowMs: number): RateLimit | undefined {
  return limits.messagesPerSecond > 0 || limits.bytesPerSecond > 0
    ? new RateLimit(limits, nowMs)
    : undefined;
}

function bucket(perSecond: number, burst: number, nowMs: number): TokenBucket | undefined {
  return perSecond > 0 ? new TokenBucket(Math.max(1, burst), perSecond / 1000, nowMs) : undefined;
}
