/**
 * Counts refusals until the enrollment service has taken them for its audit log: those that are alike
 * are one entry. A flood costs a bounded number of entries, shared out so that strangers cannot push
 * out what is refused to devices; what gets no entry of its own goes into a sum for its reason, so
 * that nothing is uncounted.
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';
import { visible } from '../../core/escape.ts';
import {
  isSerial,
  reportedTextMaxChars,
  type Refusal,
  type RefusalBatch,
} from '../../core/protocol/feed.ts';
import type { ErrorCode } from '../../core/errors/catalogue.ts';
import { FairShare } from '../../core/fair-share.ts';

/** One refusal, as it is seen. `topic` and `detail` may be anything that a stranger wrote. */
export interface SeenRefusal {
  readonly code: ErrorCode;
  readonly stage: Refusal['stage'];
  /** Only a name that our own CA vouches for, as it does for the serial. */
  readonly id?: Refusal['id'];
  readonly serial?: string | undefined;
  readonly address?: string;
  readonly topic?: string;
  readonly detail?: string;
}

export class RefusalTally {
  readonly #clock: Clock;
  readonly #run: string;
  readonly #share: FairShare;
  /** Entries by what makes them alike; sums by their reason, of which the catalogue has some hundred. */
  #entries = new Map<string, Refusal>();
  #batch: RefusalBatch | undefined;
  #number = 0;

  /**
   * @param run names this run of the broker, unlike any other
   * @param entriesMax how many are told apart until they are told
   */
  constructor(clock: Clock, run: string, entriesMax: number) {
    this.#clock = clock;
    this.#run = run;
    this.#share = new FairShare(entriesMax);
  }

  add(seen: SeenRefusal): void {
    const { code, stage } = seen;
    const atMs = this.#clock.now();
    const key = keyOf(seen);
    const known = this.#entries.get(key);
    if (known !== undefined) {
      count(known, atMs);
    } else if (this.#share.take(stage === 'reload' ? stage : seen.id)) {
      this.#entries.set(key, { ...told(seen), count: 1, firstAtMs: atMs, lastAtMs: atMs });
    } else {
      const sum = this.#entries.get(code);
      const first = { code, stage, rest: true, count: 1, firstAtMs: atMs, lastAtMs: atMs } as const;
      if (sum === undefined) this.#entries.set(code, first);
      else count(sum, atMs);
    }
  }

  /**
   * What is to be told now: the batch that was not taken yet, if there is one, else what was gathered.
   *
   * @param gathered whether a new batch may be made
   */
  next(gathered: boolean): RefusalBatch | undefined {
    if (this.#batch === undefined && gathered && this.#entries.size > 0) {
      const entries = [...this.#entries.values()];
      this.#batch = { run: this.#run, number: ++this.#number, entries };
      this.#entries = new Map();
      this.#share.reset();
    }
    return this.#batch;
  }

  /** The service has taken a batch. */
  taken(batch: RefusalBatch): void {
    if (this.#batch === batch) this.#batch = undefined;
  }
}

function count(entry: Refusal, atMs: number): void {
  entry.count++;
  entry.lastAtMs = atMs;
}

/** What makes refusals alike, from what can be told of them. A flood costs this for each of them. */
function keyOf({ code, stage, id, serial, address, topic, detail }: SeenRefusal): string {
  // Each fault of a file is one of its own.
  const last = stage === 'reload' ? detail : topic;
  return `${code}\n${stage}\n${id ?? ''}\n${serial ?? ''}\n${address ?? ''}\n${last?.slice(0, reportedTextMaxChars) ?? ''}`;
}

function told(seen: SeenRefusal): Omit<Refusal, 'count' | 'firstAtMs' | 'lastAtMs'> {
  const { code, stage, id, serial, address, topic, detail } = seen;
  return {
    code,
    stage,
    ...(id === undefined ? {} : { id }),
    ...(serial === undefined || !isSerial(serial) ? {} : { serial }),
    // A socket that has gone already has none.
    ...(address === undefined || address === '' ? {} : { address: visible(address, 64) }),
    ...(topic === undefined ? {} : { topic: visible(topic, reportedTextMaxChars) }),
    ...(detail === undefined || detail === ''
      ? {}
      : { detail: visible(detail, reportedTextMaxChars) }),
  };
}
