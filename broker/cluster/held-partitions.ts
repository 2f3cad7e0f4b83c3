/**
 * The partitions of this node: which it holds, is taking and is giving.
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';
import { isFlotillaError } from '../../core/errors/flotilla-error.ts';
import type { Logger } from '../../core/log.ts';

/** How many partitions are taken or given at the same time: each reads or writes its store meanwhile. */
const atOnceMax = 4;
/** For how long a failed attempt counts, in ms. */
const failureCountsMs = 300_000;

export interface HeldDeps {
  readonly take: (partition: number) => Promise<{ readonly term: number } | undefined>;
  readonly give: (partition: number) => Promise<void>;
  readonly changed: () => void;
  /** For this time, in ms, another node may take a partition that this one could not take, has given or has lost. */
  readonly deferMs: number;
  readonly clock: Clock;
  readonly log: Logger;
}

export class HeldPartitions {
  readonly #deps: HeldDeps;
  readonly #held = new Set<number>();
  readonly #terms = new Map<number, number>();
  readonly #taking = new Map<number, Promise<void>>();
  readonly #giving = new Map<number, Promise<void>>();
  /** Those that were lost before they were held. */
  readonly #lost = new Set<number>();
  readonly #deferredUntilMs = new Map<number, number>();
  /** Those that could not be taken, since one was taken. */
  readonly #failedAtMs = new Map<number, number>();

  constructor(deps: HeldDeps) {
    this.#deps = deps;
  }

  get held(): ReadonlySet<number> {
    return this.#held;
  }

  /** The terms of those that are held. */
  get terms(): ReadonlyMap<number, number> {
    return this.#terms;
  }

  get taking(): ReadonlySet<number> {
    return new Set(this.#taking.keys());
  }

  get giving(): ReadonlySet<number> {
    return new Set(this.#giving.keys());
  }

  get deferred(): ReadonlySet<number> {
    const nowMs = this.#deps.clock.monotonicMs();
    for (const [partition, untilMs] of this.#deferredUntilMs) {
      if (untilMs <= nowMs) this.#deferredUntilMs.delete(partition);
    }
    return new Set(this.#deferredUntilMs.keys());
  }

  /** Notes that another node has a partition: when it is free again, this one may take it at once. */
  heldElsewhere(partition: number): void {
    this.#deferredUntilMs.delete(partition);
  }

  /** Partitions that could not be taken, since one was taken. After some time, they are forgotten. */
  get failures(): readonly number[] {
    const nowMs = this.#deps.clock.monotonicMs();
    for (const [partition, atMs] of this.#failedAtMs) {
      if (nowMs - atMs > failureCountsMs) this.#failedAtMs.delete(partition);
    }
    return [...this.#failedAtMs.keys()];
  }

  /** How many more may be taken now. */
  get room(): number {
    return Math.max(0, atOnceMax - this.#taking.size);
  }

  take(partition: number): void {
    this.#lost.delete(partition);
    const taken = this.#take(partition).finally(() => {
      this.#taking.delete(partition);
      this.#deps.changed();
    });
    this.#taking.set(partition, taken);
  }

  give(partition: number): Promise<void> {
    this.#remove(partition);
    const given = this.#give(partition).finally(() => {
      this.#giving.delete(partition);
      this.#deps.changed();
    });
    this.#giving.set(partition, given);
    return given;
  }

  lose(partition: number): void {
    if (this.#taking.has(partition)) this.#lost.add(partition);
    if (!this.#held.has(partition)) return;
    this.#remove(partition);
    this.#deps.log.warn({ partition }, 'a partition does not serve here any more');
    this.#deps.changed();
  }

  /** Also those that are being taken. */
  async giveAll(): Promise<void> {
    const giveNext = async (): Promise<void> => {
      for (const partition of this.#held) await this.give(partition);
    };
    while (this.#held.size + this.#taking.size + this.#giving.size > 0) {
      await Promise.all(Array.from({ length: atOnceMax }, giveNext));
      await Promise.all([...this.#taking.values(), ...this.#giving.values()]);
    }
  }

  #remove(partition: number): void {
    this.#held.delete(partition);
    this.#terms.delete(partition);
    const { clock, deferMs } = this.#deps;
    this.#deferredUntilMs.set(partition, clock.monotonicMs() + deferMs);
  }

  async #take(partition: number): Promise<void> {
    const { clock, log } = this.#deps;
    const startMs = clock.monotonicMs();
    try {
      const taken = await this.#deps.take(partition);
      if (taken !== undefined && !this.#lost.delete(partition)) {
        this.#held.add(partition);
        this.#terms.set(partition, taken.term);
        this.#failedAtMs.clear();
        const tookMs = Math.round(clock.monotonicMs() - startMs);
        log.info({ partition, term: taken.term, tookMs }, 'a partition serves here');
        return;
      }
    } catch (err) {
      // Another node was faster.
      const isInUse = isFlotillaError(err, 'database-in-use');
      if (!isInUse) this.#failedAtMs.set(partition, clock.monotonicMs());
      log[isInUse ? 'debug' : 'error']({ partition, err }, 'a partition could not be taken');
    }
    this.#remove(partition);
  }

  async #give(partition: number): Promise<void> {
    const { log } = this.#deps;
    try {
      await this.#deps.give(partition);
      log.info({ partition }, 'a partition was given');
    } catch (err) {
      log.error({ partition, err }, 'a partition was not closed in order');
    }
  }
}
