/**
 * Ends connections at their time: no connection outlives its certificate (or the grace period of
 * one that may only renew), nor the greatest age that is configured.
 *
 * One timer, set for the earliest end. It also wakes now and then by itself, because the wall clock
 * can be set.
 *
 * @module
 */
import type { Cancel, Clock } from '../../core/clock.ts';
import type { ErrorCode } from '../../core/errors/catalogue.ts';
import type { Connection } from '../contracts/session-layer.ts';

/** When a connection ends at the latest, and why. */
export interface End {
  readonly atMs: number;
  readonly code: ErrorCode;
}

const wakeAtLeastMs = 30_000;

export class ConnectionExpiry {
  readonly #clock: Clock;
  readonly #endOf: (connection: Connection) => End;
  readonly #watched = new Map<Connection, End>();
  #cancel: Cancel | undefined;
  #nextMs = Infinity;

  constructor(clock: Clock, endOf: (connection: Connection) => End) {
    this.#clock = clock;
    this.#endOf = endOf;
  }

  /** Begins to watch a connection, or looks again at one whose end changed. */
  watch(connection: Connection): void {
    const end = this.#endOf(connection);
    this.#watched.set(connection, end);
    if (end.atMs < this.#nextMs) this.#arm(end.atMs);
  }

  forget(connection: Connection): void {
    this.#watched.delete(connection);
  }

  stop(): void {
    this.#cancel?.();
    this.#watched.clear();
  }

  #arm(atMs: number): void {
    this.#cancel?.();
    this.#nextMs = atMs;
    const waitMs = Math.min(atMs - this.#clock.now(), wakeAtLeastMs);
    this.#cancel = this.#clock.after(Math.max(0, waitMs), () => this.#sweep());
  }

  #sweep(): void {
    const nowMs = this.#clock.now();
    let next = Infinity;
    for (const [connection, end] of this.#watched) {
      if (end.atMs <= nowMs) {
        this.#watched.delete(connection);
        connection.close(end.code);
      } else if (end.atMs < next) {
        next = end.atMs;
      }
    }
    this.#nextMs = Infinity;
    if (next !== Infinity) this.#arm(next);
  }
}
