/**
 * Keeps the certificate of one identity folder fresh for as long as the process runs.
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';
import { isFlotillaError } from '../../core/errors/flotilla-error.ts';
import type { RenewalCheck } from './renewal-check.ts';
import { retryDelayMs, type Validity } from './renewal-schedule.ts';

/** The folder is read this often: somebody else may renew it, and a timer does not see clock changes. */
const lookEveryMs = 3_600_000;
/** The longest time that the service can make the agent wait. */
const deferredMaxMs = 24 * 3_600_000;
const pauseMinMs = 1000;

export interface RenewalAgentDeps {
  readonly clock: Clock;
  /** From 0 to 1. */
  readonly random: () => number;
  /** Of the certificate at the start: it limits the time between two attempts. */
  readonly validity?: Validity;
  /** Renews if it is due; see `renewIfDue`. */
  readonly check: (nowMs: number) => Promise<RenewalCheck>;
  /** Runs after a renewal, until it has succeeded once. If it fails, it is tried again like a renewal. */
  readonly hook: (check: RenewalCheck) => Promise<void>;
  /** Called for the first check, for each renewal, and when the time of the next one has changed. */
  readonly report: (check: RenewalCheck) => void;
  readonly failed: (error: unknown, retryAtMs: number, last: RenewalCheck | undefined) => void;
}

export class RenewalAgent {
  readonly #deps: RenewalAgentDeps;
  #last: RenewalCheck | undefined;
  #failures = 0;
  #isStopped = false;
  #wake: () => void = () => undefined;

  constructor(deps: RenewalAgentDeps) {
    this.#deps = deps;
  }

  /** Checks until {@link stop} is called. Failures never end it: an outage may last for days. */
  async run(): Promise<void> {
    while (!this.#isStopped) {
      const delayMs = await this.#check();
      await this.#pause(delayMs);
    }
  }

  /** A renewal in progress is completed first. */
  stop(): void {
    this.#isStopped = true;
    this.#wake();
  }

  /** @returns the time until the next check, in ms */
  async #check(): Promise<number> {
    const { clock, check, hook } = this.#deps;
    try {
      const result = await check(clock.now());
      this.#note(result);
      if (result.isHookDue) await hook(result);
      this.#failures = 0;
      // A service that names a time in the past for a new certificate must not cause one renewal after another.
      const restMs = result.renewed ? retryDelayMs(Infinity, result, 0) : 0;
      const untilMs = Math.max(restMs, result.nextCheckAtMs - clock.now());
      return Math.min(untilMs, result.isDeferred ? deferredMaxMs : lookEveryMs);
    } catch (error) {
      return this.#retryAfter(error);
    }
  }

  #note(result: RenewalCheck): void {
    const isSame = result.nextCheckAtMs === this.#last?.nextCheckAtMs && this.#failures === 0;
    this.#last = result;
    if (result.renewed || !isSame) this.#deps.report(result);
  }

  #retryAfter(error: unknown): number {
    const { clock, random, failed, validity } = this.#deps;
    this.#failures++;
    const askedMs = (isFlotillaError(error) ? (error.retryAfterSeconds ?? 0) : 0) * 1000;
    const ownMs = retryDelayMs(this.#failures, this.#last ?? validity, random());
    const delayMs = Math.max(ownMs, Math.min(askedMs, deferredMaxMs));
    failed(error, clock.now() + delayMs, this.#last);
    return delayMs;
  }

  async #pause(ms: number): Promise<void> {
    if (this.#isStopped) return;
    await new Promise<void>((resolve) => {
      const cancel = this.#deps.clock.after(Math.max(pauseMinMs, ms), resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
  }
}
