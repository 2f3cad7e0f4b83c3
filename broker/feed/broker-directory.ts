/**
 * The directory in memory: what the feed said last. Lines go in, answers and changes come out; no
 * clock, no socket, no file.
 *
 * @module
 */
import type { DirectoryCertificate, DirectoryEntry, FeedLine } from '../../core/protocol/feed.ts';

/** Everything a broker keeps of the feed. */
export interface DirectoryState {
  /** Empty until the first snapshot was complete. */
  readonly epoch: string;
  readonly sequence: number;
  readonly graceMs: number;
  /** CA certificates, PEM. Empty when the feed named none: then the broker's own CA file counts. */
  readonly authorities: readonly string[];
  readonly entries: ReadonlyMap<string, DirectoryEntry>;
}

/** What a line changed for those who watch. */
export type DirectoryChange =
  /**
   * These identities may have changed (`all`: any), and `removed` are no more; `sequence` is the
   * change that did it.
   */
  | {
      readonly kind: 'identities';
      readonly ids: readonly string[] | 'all';
      readonly removed: readonly string[];
      readonly sequence: number;
    }
  | { readonly kind: 'authorities'; readonly pem: readonly string[] };

/** How admission asks. */
export interface DirectoryView {
  /** Whether there ever was a complete snapshot. */
  readonly ready: boolean;
  readonly graceMs: number;
  get(id: string): DirectoryEntry | undefined;
}

/** A line that does not follow from those before it: the link must be begun again. */
export class FeedBroken extends Error {}

export class Directory implements DirectoryView {
  #epoch = '';
  #sequence = 0;
  #graceMs = 0;
  #authorities: readonly string[] = [];
  #entries = new Map<string, DirectoryEntry>();
  #ready = false;
  #helloEpoch = '';
  #snapshot: Map<string, DirectoryEntry> | undefined;

  /** Begins with what was kept from an earlier run. */
  restore(state: DirectoryState): void {
    this.#epoch = state.epoch;
    this.#sequence = state.sequence;
    this.#graceMs = state.graceMs;
    this.#authorities = state.authorities;
    this.#entries = new Map(state.entries);
    this.#ready = state.epoch !== '';
  }

  get ready(): boolean {
    return this.#ready;
  }

  get graceMs(): number {
    return this.#graceMs;
  }

  get sequence(): number {
    return this.#sequence;
  }

  get epoch(): string {
    return this.#epoch;
  }

  get authorities(): readonly string[] {
    return this.#authorities;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(id: string): DirectoryEntry | undefined {
    return this.#entries.get(id);
  }

  entries(): IterableIterator<DirectoryEntry> {
    return this.#entries.values();
  }

  /** All of it, to be written down. */
  state(): DirectoryState {
    return {
      epoch: this.#epoch,
      sequence: this.#sequence,
      graceMs: this.#graceMs,
      authorities: this.#authorities,
      entries: this.#entries,
    };
  }

  /** Forgets a snapshot that was not finished: the link broke. */
  linkLost(): void {
    this.#snapshot = undefined;
    this.#helloEpoch = '';
  }

  /**
   * Takes one line.
   *
   * @returns what changed, or undefined
   * @throws FeedBroken when the line cannot stand where it stands
   */
  apply(line: FeedLine): DirectoryChange | undefined {
    if (line.type === 'hello') {
      this.#helloEpoch = line.epoch;
      this.#graceMs = line.graceMs;
      return undefined;
    }
    if (this.#helloEpoch === '') throw new FeedBroken(`${line.type} before hello`);
    switch (line.type) {
      case 'snapshot-begin':
        this.#snapshot = new Map();
        return undefined;
      case 'entry':
        if (this.#snapshot === undefined) throw new FeedBroken('entry outside a snapshot');
        this.#snapshot.set(line.entry.id, line.entry);
        return undefined;
      case 'snapshot-end':
        if (this.#snapshot === undefined) throw new FeedBroken('end of no snapshot');
        return this.#replace(this.#snapshot, line.sequence);
      case 'change':
        this.#assertInOrder(line.sequence);
        this.#entries.set(line.entry.id, line.entry);
        this.#follow(line.sequence);
        return { kind: 'identities', ids: [line.entry.id], removed: [], sequence: line.sequence };
      case 'removed':
        this.#assertInOrder(line.sequence);
        this.#entries.delete(line.id);
        this.#follow(line.sequence);
        return {
          kind: 'identities',
          ids: [line.id],
          removed: [line.id],
          sequence: line.sequence,
        };
      case 'authorities':
        this.#authorities = line.pem;
        // Authorities are also repeated after hello, then with a sequence number already known.
        if (this.#snapshot === undefined && line.sequence > this.#sequence && this.#sameEpoch()) {
          this.#assertInOrder(line.sequence);
          this.#follow(line.sequence);
        }
        return { kind: 'authorities', pem: line.pem };
      case 'heartbeat':
        if (this.#sameEpoch() && this.#snapshot === undefined && line.sequence > this.#sequence) {
          throw new FeedBroken(`changes ${this.#sequence + 1} to ${line.sequence} are missing`);
        }
        return undefined;
    }
  }

  #replace(entries: Map<string, DirectoryEntry>, sequence: number): DirectoryChange {
    const removed = [...this.#entries.keys()].filter((id) => !entries.has(id));
    this.#entries = entries;
    this.#snapshot = undefined;
    this.#ready = true;
    this.#follow(sequence);
    return { kind: 'identities', ids: 'all', removed, sequence };
  }

  #sameEpoch(): boolean {
    return this.#epoch === this.#helloEpoch;
  }

  #follow(sequence: number): void {
    this.#epoch = this.#helloEpoch;
    this.#sequence = sequence;
  }

  #assertInOrder(sequence: number): void {
    if (this.#snapshot !== undefined) throw new FeedBroken('change inside a snapshot');
    if (!this.#sameEpoch()) throw new FeedBroken('change of an epoch without its snapshot');
    if (sequence !== this.#sequence + 1) {
      throw new FeedBroken(`change ${sequence} after ${this.#sequence}`);
    }
  }
}

/** The certificate of an entry that has this fingerprint. */
export function certificateOf(
  entry: DirectoryEntry,
  fingerprint: string,
): DirectoryCertificate | undefined {
  return entry.certificates.find((certificate) => certificate.fingerprint === fingerprint);
}
