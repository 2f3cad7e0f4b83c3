/**
 * The directory in memory: the identities and CA certificates that the feed last reported. It applies
 * feed lines and returns what they change; it uses no clock, socket or file.
 *
 * @module
 */
import type { DirectoryCertificate, DirectoryEntry, FeedLine } from '../../core/protocol/feed.ts';
import { isOtherIdentity } from '../../core/reused-name.ts';

/** The complete state of the directory. */
export interface DirectoryState {
  /** Empty until the first snapshot is complete. */
  readonly epoch: string;
  readonly sequence: number;
  readonly graceMs: number;
  /** CA certificates, PEM. When empty, the broker uses its own CA file. */
  readonly authorities: readonly string[];
  readonly entries: ReadonlyMap<string, DirectoryEntry>;
}

/** What a feed line changed. */
export type DirectoryChange =
  /**
   * These identities may have changed (`all`: any of them), and those in `removed` were deleted; their
   * names may be used again by other identities.
   * `sequence` is the number of the change.
   */
  | {
      readonly kind: 'identities';
      readonly ids: readonly string[] | 'all';
      readonly removed: readonly string[];
      readonly sequence: number;
    }
  | { readonly kind: 'authorities'; readonly pem: readonly string[] };

/** The read-only view that admission uses. */
export interface DirectoryView {
  /** Whether a complete snapshot was ever received. */
  readonly ready: boolean;
  readonly graceMs: number;
  get(id: string): DirectoryEntry | undefined;
}

/** A line that does not follow from the previous ones: the client must reconnect. */
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
  /** How many entries of the snapshot existed before. */
  #known = 0;
  /** The names in the snapshot that belong to other identities than before. */
  #others: string[] = [];

  /** Loads the state that an earlier run saved. */
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

  /** The complete state, for saving. */
  state(): DirectoryState {
    return {
      epoch: this.#epoch,
      sequence: this.#sequence,
      graceMs: this.#graceMs,
      authorities: this.#authorities,
      entries: this.#entries,
    };
  }

  /** Discards an incomplete snapshot, because the connection broke. */
  connectionLost(): void {
    this.#snapshot = undefined;
    this.#helloEpoch = '';
  }

  /**
   * Applies one line.
   *
   * @returns what changed, or undefined
   * @throws FeedBroken when the line is not allowed at this point
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
        this.#known = 0;
        this.#others = [];
        return undefined;
      case 'entry':
        if (this.#snapshot === undefined) throw new FeedBroken('entry outside a snapshot');
        if (!this.#snapshot.has(line.entry.id)) this.#compareWithBefore(line.entry);
        this.#snapshot.set(line.entry.id, line.entry);
        return undefined;
      case 'snapshot-end':
        if (this.#snapshot === undefined)
          throw new FeedBroken('snapshot-end without snapshot-begin');
        return this.#replace(this.#snapshot, line.sequence);
      case 'change':
        this.#assertInOrder(line.sequence);
        return this.#change(line.entry, line.sequence);
      case 'removed':
        this.#assertInOrder(line.sequence);
        this.#entries.delete(line.id);
        this.#advance(line.sequence);
        return {
          kind: 'identities',
          ids: [line.id],
          removed: [line.id],
          sequence: line.sequence,
        };
      case 'authorities':
        this.#authorities = line.pem;
        // Authorities are repeated after hello, then with a sequence number that is already known.
        if (this.#snapshot === undefined && line.sequence > this.#sequence && this.#sameEpoch()) {
          this.#assertInOrder(line.sequence);
          this.#advance(line.sequence);
        }
        return { kind: 'authorities', pem: line.pem };
      case 'policy':
      case 'query':
      case 'query-end':
        return undefined;
      case 'heartbeat':
        if (this.#sameEpoch() && this.#snapshot === undefined && line.sequence > this.#sequence) {
          throw new FeedBroken(`changes ${this.#sequence + 1} to ${line.sequence} are missing`);
        }
        return undefined;
    }
  }

  #change(entry: DirectoryEntry, sequence: number): DirectoryChange {
    const { id } = entry;
    const removed = isOtherIdentity(this.#entries.get(id)?.createdAtMs, entry.createdAtMs)
      ? [id]
      : [];
    this.#entries.set(id, entry);
    this.#advance(sequence);
    return { kind: 'identities', ids: [id], removed, sequence };
  }

  #replace(entries: Map<string, DirectoryEntry>, sequence: number): DirectoryChange {
    const removed = this.#others;
    this.#others = [];
    // Looking for removed entries among hundreds of thousands takes tens of ms.
    if (this.#known < this.#entries.size) {
      for (const id of this.#entries.keys()) if (!entries.has(id)) removed.push(id);
    }
    this.#entries = entries;
    this.#snapshot = undefined;
    this.#ready = true;
    this.#advance(sequence);
    return { kind: 'identities', ids: 'all', removed, sequence };
  }

  /** Compares an entry of a snapshot with the one before, as it arrives. */
  #compareWithBefore({ id, createdAtMs }: DirectoryEntry): void {
    const before = this.#entries.get(id);
    if (before === undefined) return;
    this.#known++;
    if (isOtherIdentity(before.createdAtMs, createdAtMs)) this.#others.push(id);
  }

  #sameEpoch(): boolean {
    return this.#epoch === this.#helloEpoch;
  }

  #advance(sequence: number): void {
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

/** The certificate of an entry with this fingerprint. */
export function certificateOf(
  entry: DirectoryEntry,
  fingerprint: string,
): DirectoryCertificate | undefined {
  return entry.certificates.find((certificate) => certificate.fingerprint === fingerprint);
}
