/**
 * Closes connections when they expire: no connection outlives its certificate (plus the grace period,
 * if it may only renew) or the configured maximum age.
 *
 * One timer is set for the earliest expiry. It also fires every 30 seconds, because the wall clock can
 * be set.
 *
 * @module
 */
import type { Cancel, Clock } from '../../core/clock.ts';
import type { ErrorCode } from '../../core/errors/catalogue.ts';
import type { Connection } from '../contracts/session-layer.ts';

/** When a connection must end, and why. */
export interface ConnectionEnd {
  readonly atMs: number;
  readonly code: ErrorCode;
}

/** The settings that limit the lifetime of a connection. */
export interface LifetimeLimits {
  /** How long a certificate may still renew after it expired. */
  readonly graceMs: number;
  /** The maximum age of a connection; 0: unlimited. */
  readonly maxAgeMs: number;
}

const checkIntervalMs = 30_000;
/** Certificates that were issued together expire together. The other connections close in the next turns. */
const closedPerTurnMax = 200;

/** Decides when a connection must end. */
export function connectionEnd(
  { identity, connectedAtMs }: Pick<Connection, 'identity' | 'connectedAtMs'>,
  { graceMs, maxAgeMs }: LifetimeLimits,
): ConnectionEnd {
  const expiryMs = identity.notAfterMs + (identity.standing === 'renewal-only' ? graceMs : 0);
  // Up to a tenth earlier, spread by the time of connecting: connections that were opened together
  // after a restart must not be closed together every time.
  const maxAgeEndMs = connectedAtMs + maxAgeMs * (1 - (connectedAtMs % 997) / 9970);
  return maxAgeMs === 0 || expiryMs <= maxAgeEndMs
    ? { atMs: expiryMs, code: 'certificate-expired' }
    : { atMs: maxAgeEndMs, code: 'connection-too-old' };
}

export class ConnectionExpiry {
  readonly #clock: Clock;
  readonly #directory: { readonly graceMs: number };
  readonly #maxAgeMs: number;
  readonly #ends = new Map<Connection, ConnectionEnd>();
  #cancel: Cancel | undefined;
  #nextMs = Infinity;

  /** @param maxAgeMs the maximum age of a connection; 0: unlimited */
  constructor(clock: Clock, directory: { readonly graceMs: number }, maxAgeMs: number) {
    this.#clock = clock;
    this.#directory = directory;
    this.#maxAgeMs = maxAgeMs;
  }

  /** Starts to watch a connection, or updates one whose end changed. */
  watch(connection: Connection): void {
    const { graceMs } = this.#directory;
    const end = connectionEnd(connection, { graceMs, maxAgeMs: this.#maxAgeMs });
    this.#ends.set(connection, end);
    if (end.atMs < this.#nextMs) this.#setTimer(end.atMs);
  }

  forget(connection: Connection): void {
    this.#ends.delete(connection);
  }

  stop(): void {
    this.#cancel?.();
    this.#ends.clear();
  }

  #setTimer(atMs: number): void {
    this.#cancel?.();
    this.#nextMs = atMs;
    const waitMs = Math.min(atMs - this.#clock.now(), checkIntervalMs);
    this.#cancel = this.#clock.after(Math.max(0, waitMs), () => this.#closeExpired());
  }

  #closeExpired(): void {
    const nowMs = this.#clock.now();
    let nextMs = Infinity;
    let closed = 0;
    for (const [connection, end] of this.#ends) {
      if (end.atMs <= nowMs && closed < closedPerTurnMax) {
        closed++;
        this.#ends.delete(connection);
        connection.close(end.code);
      } else if (end.atMs < nextMs) {
        nextMs = end.atMs;
      }
    }
    this.#nextMs = Infinity;
    if (nextMs !== Infinity) this.#setTimer(nextMs);
  }
}
