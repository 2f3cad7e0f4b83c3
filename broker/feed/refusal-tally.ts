/**
 * Counts refusals until the enrollment service has received them for its audit log. Equal refusals
 * share one entry. The number of entries is limited and shared out fairly, so that unidentified clients
 * cannot displace the refusals of devices. Refusals without an entry of their own are summed by code,
 * so that every refusal is counted.
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

/** One refusal. `topic` and `detail` may contain any text from an unauthenticated client. */
export interface SeenRefusal {
  readonly code: ErrorCode;
  readonly stage: Refusal['stage'];
  /** Only set, like the serial number, when one of our CAs issued the certificate. */
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
  /** Entries by their key, and sums by their code; the catalogue has a few hundred codes. */
  #entries = new Map<string, Refusal>();
  #batch: RefusalBatch | undefined;
  #number = 0;

  /**
   * @param run unique name of this run of the broker
   * @param entriesMax maximum distinct entries per report
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
      this.#entries.set(key, { ...reported(seen), count: 1, firstAtMs: atMs, lastAtMs: atMs });
    } else {
      const sum = this.#entries.get(code);
      const rest = { code, stage, rest: true, count: 1, firstAtMs: atMs, lastAtMs: atMs } as const;
      if (sum === undefined) this.#entries.set(code, rest);
      else count(sum, atMs);
    }
  }

  /**
   * The next batch to send: the one that was not confirmed yet, otherwise a new one.
   *
   * @param mayStart whether a new batch may be started
   */
  next(mayStart: boolean): RefusalBatch | undefined {
    if (this.#batch === undefined && mayStart && this.#entries.size > 0) {
      const entries = [...this.#entries.values()];
      this.#batch = { run: this.#run, number: ++this.#number, entries };
      this.#entries = new Map();
      this.#share.reset();
    }
    return this.#batch;
  }

  /** The service confirmed a batch. */
  confirmed(batch: RefusalBatch): void {
    if (this.#batch === batch) this.#batch = undefined;
  }
}

function count(entry: Refusal, atMs: number): void {
  entry.count++;
  entry.lastAtMs = atMs;
}

/** Refusals with the same key share an entry. In a flood, this is computed for each refusal. */
function keyOf({ code, stage, id, serial, address, topic, detail }: SeenRefusal): string {
  // Each error of a file has an entry of its own.
  const last = stage === 'reload' ? detail : topic;
  return `${code}\n${stage}\n${id ?? ''}\n${serial ?? ''}\n${address ?? ''}\n${last?.slice(0, reportedTextMaxChars) ?? ''}`;
}

function reported(seen: SeenRefusal): Omit<Refusal, 'count' | 'firstAtMs' | 'lastAtMs'> {
  const { code, stage, id, serial, address, topic, detail } = seen;
  return {
    code,
    stage,
    ...(id === undefined ? {} : { id }),
    ...(serial === undefined || !isSerial(serial) ? {} : { serial }),
    // A socket that is already closed has no address.
    ...(address === undefined || address === '' ? {} : { address: visible(address, 64) }),
    ...(topic === undefined ? {} : { topic: visible(topic, reportedTextMaxChars) }),
    ...(detail === undefined || detail === ''
      ? {}
      : { detail: visible(detail, reportedTextMaxChars) }),
  };
}
