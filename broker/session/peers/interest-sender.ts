/**
 * Announces to one other partition what the receivers of this one need: everything after a link was made, then the
 * changes. The changes of one turn of the event loop share a line.
 *
 * @module
 */
import type { InterestLines } from './interest-lines.ts';
import type { AnnouncedFilter } from './interest-lines.ts';
import type { InterestTarget, LocalInterest } from './local-interest.ts';

/** How many lines may be without an acknowledgement. */
const linesUnacknowledgedMax = 8;
/** A line is sent when it has about so many characters. */
const lineChars = 48 * 1024;
/** The characters of an entry besides its filter. */
const entryChars = 80;
/** So many changes may wait. With more, the link is made again, and everything is announced. */
const changesWaitingMax = 1_000_000;

interface SentLine {
  readonly n: number;
  /** When it is acknowledged, all changes up to this one are. */
  readonly upTo: number;
  readonly isSynced: boolean;
}

export interface InterestSenderHost {
  /** The other partition has acknowledged everything since the link was made. */
  onSynced(): void;
  /** Too many changes wait. */
  onOverflow(): void;
}

export class InterestSender implements InterestTarget {
  acknowledged = 0;
  readonly #interest: LocalInterest;
  #lines: InterestLines | undefined = undefined;
  #host: InterestSenderHost | undefined = undefined;
  /** The filters that are not announced yet since the link was made; undefined: all are. */
  #all: Iterator<string> | undefined = undefined;
  /** The filters that changed and are not announced, with the first change of each, in the order of these changes. */
  readonly #changed = new Map<string, number>();
  readonly #sent: SentLine[] = [];
  #n = 0;
  #scheduled = false;
  readonly #run = (): void => {
    this.#scheduled = false;
    this.#send();
  };

  constructor(interest: LocalInterest) {
    this.#interest = interest;
  }

  /** A link was made: announces everything. */
  start(lines: InterestLines, host: InterestSenderHost): void {
    this.stop();
    this.#lines = lines;
    this.#host = host;
    this.#all = this.#interest.filters();
    this.#schedule();
  }

  /** The link is closed. */
  stop(): void {
    this.#lines = undefined;
    this.#host = undefined;
    this.#all = undefined;
    this.#changed.clear();
    this.#sent.length = 0;
    this.#n = 0;
  }

  changed(filter: string, change: number): void {
    // Everything is announced when there is a link again.
    if (this.#lines === undefined || this.#changed.has(filter)) return;
    if (this.#changed.size >= changesWaitingMax) {
      this.#host?.onOverflow();
      return;
    }
    this.#changed.set(filter, change);
    this.#schedule();
  }

  /** @throws RangeError if no line with this number waits */
  onAcknowledgement(n: number): void {
    const sent = this.#sent.shift();
    if (sent?.n !== n) throw new RangeError(`line ${n} is acknowledged out of order`);
    if (sent.isSynced) this.#host?.onSynced();
    if (sent.upTo > this.acknowledged) {
      this.acknowledged = sent.upTo;
      this.#interest.onAcknowledged();
    }
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled || !this.#hasMore) return;
    this.#scheduled = true;
    setImmediate(this.#run);
  }

  get #hasMore(): boolean {
    return (
      this.#lines !== undefined &&
      this.#sent.length < linesUnacknowledgedMax &&
      (this.#all !== undefined || this.#changed.size > 0)
    );
  }

  /** Sends one line. */
  #send(): void {
    if (!this.#hasMore) return;
    const n = ++this.#n;
    if (this.#all !== undefined) this.#sendAll(n, this.#all);
    else {
      this.#sendLine(n, this.#takeChanged());
      const [first] = this.#changed.values();
      // Each earlier change was announced, with the state of now.
      const upTo = first === undefined ? this.#interest.change : first - 1;
      this.#sent.push({ n, upTo, isSynced: false });
    }
    this.#schedule();
  }

  #sendAll(n: number, all: Iterator<string>): void {
    const filters: string[] = [];
    let chars = 0;
    while (chars < lineChars) {
      const next = all.next();
      if (next.done === true) {
        this.#all = undefined;
        break;
      }
      chars += entryChars + next.value.length;
      filters.push(next.value);
    }
    // Nothing is known to be acknowledged before the end: a change of a filter may have been before its turn.
    this.#sendLine(n, filters);
    this.#sent.push({ n, upTo: 0, isSynced: false });
    if (this.#all !== undefined) return;
    const last = ++this.#n;
    this.#lines?.send({ n: last, synced: true });
    const [first] = this.#changed.values();
    const upTo = first === undefined ? this.#interest.change : first - 1;
    this.#sent.push({ n: last, upTo, isSynced: true });
  }

  #takeChanged(): string[] {
    const filters: string[] = [];
    let chars = 0;
    for (const filter of this.#changed.keys()) {
      if (chars >= lineChars) break;
      this.#changed.delete(filter);
      chars += entryChars + filter.length;
      filters.push(filter);
    }
    return filters;
  }

  /** Sends what these filters are now. */
  #sendLine(n: number, filters: readonly string[]): void {
    const add: AnnouncedFilter[] = [];
    const remove: string[] = [];
    for (const filter of filters) {
      const announced = this.#interest.announcementOf(filter);
      if (announced === undefined) remove.push(filter);
      else add.push(announced);
    }
    this.#lines?.send({ n, add, remove });
  }
}
