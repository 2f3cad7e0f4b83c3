/**
 * Deletes expired tokens, replays, requests and revocations from the registry, and prunes dead certificates.
 *
 * @module
 */
import type { Cancel, Clock } from '../../core/clock.ts';
import { isFlotillaError } from '../../core/errors/flotilla-error.ts';
import type { Logger } from '../../core/log.ts';
import { pruneCertificates } from './certificate-pruning.ts';
import type { Deletion, Registry } from './registry.ts';
import { dayMs } from '../../core/config/duration.ts';

const periodMs = 60_000;
/** How often certificates are pruned, which looks at every identity. */
const prunePeriodMs = 3_600_000;
const commitMaxRows = 500;
/**
 * How long an expired token is kept, so that its use is refused as `token-expired` and not as
 * `token-invalid`, in ms.
 */
const tokenMemoryMs = dayMs;

/**
 * How long the clock must have run evenly before rows are deleted, in ms: a clock that is years ahead for a moment
 * must not delete revocations and tokens.
 */
const settledMs = 3_600_000;
/** How far the wall clock may move against the monotonic clock between two sweeps, in ms. */
const jumpMinMs = 60_000;

export interface HousekeepingDeps {
  readonly registry: Registry;
  readonly clock: Clock;
  readonly log: Logger;
  /** How long a revocation is kept after the end of its certificate, in ms: it must be on one more CRL. */
  readonly revocationKeepMs: number;
  /** How long a certificate stays after its end, in ms. */
  readonly certificateKeepMs: number;
}

export class Housekeeping {
  readonly #registry: Registry;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #revocationKeepMs: number;
  #offsetMs: number;
  /** Monotonic: since when the clock has run evenly. */
  #evenSinceMs: number;
  #next: Cancel = () => undefined;
  #running: Promise<void> = Promise.resolve();
  #stopped = false;
  readonly #certificateKeepMs: number;
  #nextPruneMs = 0;

  constructor({ registry, clock, log, revocationKeepMs, certificateKeepMs }: HousekeepingDeps) {
    this.#registry = registry;
    this.#clock = clock;
    this.#log = log;
    this.#revocationKeepMs = revocationKeepMs;
    this.#certificateKeepMs = certificateKeepMs;
    this.#offsetMs = clock.now() - clock.monotonicMs();
    this.#evenSinceMs = clock.monotonicMs();
  }

  start(): void {
    this.#next = this.#clock.after(periodMs, () => {
      this.#running = this.#sweepWhenSettled()
        .catch((error: unknown) => {
          if (isFlotillaError(error, 'registry-conflict')) return;
          this.#log.warn({ err: error }, 'housekeeping failed, will retry');
        })
        .then(() => {
          if (!this.#stopped) this.start();
        });
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#next();
    await this.#running;
  }

  async #sweepWhenSettled(): Promise<void> {
    const monotonicMs = this.#clock.monotonicMs();
    const offsetMs = this.#clock.now() - monotonicMs;
    const movedMs = offsetMs - this.#offsetMs;
    this.#offsetMs = offsetMs;
    if (Math.abs(movedMs) > jumpMinMs) {
      this.#evenSinceMs = monotonicMs;
      this.#log.warn({ movedMs: Math.round(movedMs) }, 'the clock jumped; expired rows are kept');
    }
    if (monotonicMs - this.#evenSinceMs < settledMs) return;
    await this.sweep();
    if (monotonicMs < this.#nextPruneMs) return;
    this.#nextPruneMs = monotonicMs + prunePeriodMs;
    await this.#prune();
  }

  async #prune(): Promise<void> {
    const deps = { registry: this.#registry, clock: this.#clock, keepMs: this.#certificateKeepMs };
    const certificates = await pruneCertificates(deps, () => this.#stopped);
    if (certificates > 0) this.#log.info({ certificates }, 'certificates that ended were pruned');
  }

  /** Deletes what has expired. */
  async sweep(): Promise<void> {
    const now = this.#clock.now();
    const found: Deletion[] = [];
    for await (const row of this.#registry.rows('tokens')) {
      if (row.expiresAtMs + tokenMemoryMs <= now) {
        found.push({ table: 'tokens', key: row.hash, expected: row.version });
      }
    }
    for await (const row of this.#registry.rows('answers')) {
      if (row.expiresAtMs <= now) {
        found.push({ table: 'answers', key: row.key, expected: row.version });
      }
    }
    for await (const row of this.#registry.rows('requests')) {
      if (row.expiresAtMs <= now) {
        found.push({ table: 'requests', key: row.id, expected: row.version });
      }
    }
    for await (const row of this.#registry.rows('revocations')) {
      if (row.notAfterMs + this.#revocationKeepMs <= now) {
        found.push({ table: 'revocations', key: row.serial, expected: row.version });
      }
    }
    for await (const row of this.#registry.rows('sessions')) {
      if (row.expiresAtMs <= now) {
        found.push({ table: 'sessions', key: row.hash, expected: row.version });
      }
    }
    for await (const row of this.#registry.rows('apiKeys')) {
      if (row.expiresAtMs <= now) {
        found.push({ table: 'apiKeys', key: row.hash, expected: row.version });
      }
    }
    for (let at = 0; at < found.length && !this.#stopped; at += commitMaxRows) {
      await this.#registry.commit({ deletions: found.slice(at, at + commitMaxRows) });
    }
  }
}
