/**
 * Two token buckets: how much one connection may send. Who is over its rate is not dropped: its
 * socket is not read for as long as it takes, and TCP slows it down.
 *
 * @module
 */

export interface RateLimits {
  /** 0: no limit. */
  readonly messagesPerSecond: number;
  readonly messagesBurst: number;
  readonly bytesPerSecond: number;
  readonly bytesBurst: number;
}

export class RateLimit {
  readonly #messages: Bucket | undefined;
  readonly #bytes: Bucket | undefined;

  constructor(limits: RateLimits, nowMs: number) {
    this.#messages = bucket(limits.messagesPerSecond, limits.messagesBurst, nowMs);
    this.#bytes = bucket(limits.bytesPerSecond, limits.bytesBurst, nowMs);
  }

  /** Takes one message. @returns how long to rest, in ms; 0: not at all */
  message(nowMs: number): number {
    return this.#messages?.take(1, nowMs) ?? 0;
  }

  /** Takes bytes. @returns how long to rest, in ms */
  bytes(count: number, nowMs: number): number {
    return this.#bytes?.take(count, nowMs) ?? 0;
  }
}

/** Undefined when there is nothing to hold a client to. */
export function rateLimitOf(limits: RateLimits, nowMs: number): RateLimit | undefined {
  return limits.messagesPerSecond > 0 || limits.bytesPerSecond > 0
    ? new RateLimit(limits, nowMs)
    : undefined;
}

class Bucket {
  readonly #perMs: number;
  readonly #size: number;
  #level: number;
  #atMs: number;

  constructor(perSecond: number, size: number, nowMs: number) {
    this.#perMs = perSecond / 1000;
    this.#size = size;
    this.#level = size;
    this.#atMs = nowMs;
  }

  /** May go below zero: what came has come; the debt is rested off. */
  take(count: number, nowMs: number): number {
    this.#level = Math.min(this.#size, this.#level + (nowMs - this.#atMs) * this.#perMs) - count;
    this.#atMs = nowMs;
    return this.#level >= 0 ? 0 : Math.ceil(-this.#level / this.#perMs);
  }
}

function bucket(perSecond: number, burst: number, nowMs: number): Bucket | undefined {
  return perSecond > 0 ? new Bucket(perSecond, Math.max(1, burst), nowMs) : undefined;
}
