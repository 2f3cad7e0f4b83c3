/**
 * The directory in memory: the identities and CA certificates that the feed last reported. It applies
 * feed lines and returns what they change; it uses no clock, socket or file.
 *
 * @module
 */
import type { DirectoryCertificate, DirectoryEntry, FeedLine } from '../../core/protocol/feed.ts';
import type { HelloGeneration, KnownGeneration } from '../../core/protocol/generation.ts';
import { WideMap } from '../../core/wide-map.ts';
import { forEachInTurns } from '../../core/work-turns.ts';
import { isUndecided, strictestEntry, type EarlierDirectory } from './earlier-directory.ts';
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
  /** The state of the registry that this is; undefined: the service has not said it. */
  readonly generation?: KnownGeneration | undefined;
  /** What this broker knows more than a registry that was restored. */
  readonly earlier?: EarlierDirectory | undefined;
}

/** The saved state, whose map becomes the one of the directory. */
export interface SavedDirectory extends DirectoryState {
  readonly entries: WideMap<string, DirectoryEntry>;
}

/** An identity that was deleted, as it was. */
export type RemovedIdentity = Pick<DirectoryEntry, 'id' | 'role'>;

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
      readonly removed: readonly RemovedIdentity[];
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
  #entries = new WideMap<string, DirectoryEntry>();
  #ready = false;
  #helloEpoch = '';
  #hello: HelloGeneration | undefined;
  #generation: KnownGeneration | undefined;
  #earlier: EarlierDirectory | undefined;
  /** The earlier directory, after an operator has decided, until the snapshot that follows is complete. */
  #settled: EarlierDirectory | undefined;
  /** Identities about which an operator has to decide. */
  #undecided = new Set<string>();
  #snapshot: WideMap<string, DirectoryEntry> | undefined;
  /** The identities that the snapshot does not have; undefined: not compared. */
  #missing: readonly DirectoryEntry[] | undefined;
  /** How many entries of the snapshot existed before. */
  #known = 0;
  /** The names in the snapshot that belong to other identities than before. */
  #others: RemovedIdentity[] = [];

  /** Loads the state that an earlier run saved. Its map is not copied: that would take 40 ms for 300,000 entries. */
  restore(state: SavedDirectory): void {
    this.#epoch = state.epoch;
    this.#sequence = state.sequence;
    this.#graceMs = state.graceMs;
    this.#authorities = state.authorities;
    this.#entries = state.entries;
    this.#ready = state.epoch !== '';
    this.#generation = state.generation;
    this.#earlier = state.earlier;
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

  /** The state of the registry that this broker reports to the service. */
  get known(): KnownGeneration | undefined {
    return this.#earlier?.generation ?? this.#generation;
  }

  /** What this broker knows more than the registry, which was restored from an older backup. */
  get earlier(): EarlierDirectory | undefined {
    return this.#earlier;
  }

  /** Identities about which an operator has to decide, because the registry was restored. */
  get undecided(): ReadonlySet<string> {
    return this.#undecided;
  }

  get(id: string): DirectoryEntry | undefined {
    return this.#entries.get(id);
  }

  entries(): Iterable<DirectoryEntry> {
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
      generation: this.#generation,
      earlier: this.#earlier,
    };
  }

  /** Discards an incomplete snapshot, because the connection broke. */
  connectionLost(): void {
    this.#snapshot = undefined;
    this.#missing = undefined;
    this.#earlier ??= this.#settled;
    this.#settled = undefined;
    this.#helloEpoch = '';
  }

  /**
   * To be called before the end of a snapshot is applied: finds the identities that it does not have, in turns of the
   * event loop, because that takes up to 100 ms for 300,000.
   */
  async compareSnapshot(): Promise<void> {
    const snapshot = this.#snapshot;
    if (snapshot === undefined || this.#known >= this.#entries.size) return;
    const missing: DirectoryEntry[] = [];
    await forEachInTurns(this.#entries, ([id, before]) => {
      if (!snapshot.has(id)) missing.push(before);
      return true;
    });
    if (this.#snapshot === snapshot) this.#missing = missing;
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
      this.#continue(line);
      this.#greet(line.generation);
      return undefined;
    }
    if (this.#helloEpoch === '') throw new FeedBroken(`${line.type} before hello`);
    switch (line.type) {
      case 'snapshot-begin':
        this.#snapshot = new WideMap();
        this.#missing = undefined;
        this.#known = 0;
        this.#others = [];
        this.#undecided = new Set();
        if (this.#hello?.behind === undefined && this.#earlier !== undefined) {
          this.#settled = this.#earlier;
          this.#earlier = undefined;
        }
        return undefined;
      case 'entry':
        if (this.#snapshot === undefined) throw new FeedBroken('entry outside a snapshot');
        if (!this.#snapshot.has(line.entry.id)) this.#compareWithBefore(line.entry);
        this.#put(this.#snapshot, line.entry);
        return undefined;
      case 'snapshot-end':
        if (this.#snapshot === undefined)
          throw new FeedBroken('snapshot-end without snapshot-begin');
        return this.#replace(this.#snapshot, line.sequence);
      case 'change':
        this.#assertInOrder(line.sequence);
        return this.#change(line.entry, line.sequence, line.commit);
      case 'removed': {
        this.#assertInOrder(line.sequence);
        // An earlier run may have left sessions of an identity that the saved directory does not have.
        const before = this.#entries.get(line.id) ?? { id: line.id, role: '' };
        this.#entries.delete(line.id);
        this.#undecided.delete(line.id);
        this.#advance(line.sequence, line.commit);
        return {
          kind: 'identities',
          ids: [line.id],
          removed: [before],
          sequence: line.sequence,
        };
      }
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
        this.#upToDate(line.sequence);
        return undefined;
    }
  }

  /** What this broker has of an earlier run of the service is the beginning of this one. */
  #continue({ epoch, sequence, continues }: Extract<FeedLine, { type: 'hello' }>): void {
    if (continues === undefined) return;
    const isOwn = continues.epoch === this.#epoch && continues.sequence === this.#sequence;
    if (!isOwn || !this.#ready || this.#earlier !== undefined) {
      throw new FeedBroken(`the service continues ${continues.epoch}, ${continues.sequence}`);
    }
    this.#epoch = epoch;
    this.#sequence = sequence;
  }

  /** The service says which state of the registry it has, and whether this broker knows more. */
  #greet(hello: HelloGeneration | undefined): void {
    this.#hello = hello;
    const sinceMs = hello?.behind?.sinceMs;
    if (sinceMs === undefined) {
      // Without a snapshot, what this broker has is a state of this run. The changes that it misses still follow.
      if (this.#sameEpoch() && this.#earlier === undefined) {
        this.#generation = this.#newest(this.#generation?.commit);
      }
    } else if (this.#earlier === undefined && this.#generation !== undefined) {
      this.#earlier = { sinceMs, generation: this.#generation, entries: this.#entries };
    }
  }

  /** @param known the newest commit that this broker has, if it is another one than that of `hello` */
  #newest(known?: number): KnownGeneration | undefined {
    if (this.#hello === undefined) return undefined;
    const { registry, commit, startedAtMs } = this.#hello;
    return { registry, run: this.#helloEpoch, commit: known ?? commit, startedAtMs };
  }

  /** All changes are here: the state of `hello`, at least. */
  #upToDate(sequence: number): void {
    const { commit = 0 } = this.#hello ?? {};
    const isCurrent =
      this.#sameEpoch() && this.#snapshot === undefined && this.#earlier === undefined;
    if (!isCurrent || sequence !== this.#sequence || this.#generation === undefined) return;
    if (commit > this.#generation.commit) this.#generation = { ...this.#generation, commit };
  }

  /** Adds an entry of the service; the stricter one, if this broker knows more. */
  #put(entries: WideMap<string, DirectoryEntry>, entry: DirectoryEntry): void {
    const earlier = this.#earlier;
    const strictest = earlier === undefined ? entry : strictestEntry(earlier, entry);
    if (strictest === undefined) entries.delete(entry.id);
    else entries.set(entry.id, strictest);
    if (earlier === undefined) return;
    if (isUndecided(earlier, entry.id, entry)) this.#undecided.add(entry.id);
    else this.#undecided.delete(entry.id);
  }

  #change(entry: DirectoryEntry, sequence: number, commit: number | undefined): DirectoryChange {
    const { id } = entry;
    const before = this.#entries.get(id);
    const isOther = isOtherIdentity(before?.createdAtMs, entry.createdAtMs);
    const removed = before !== undefined && isOther ? [before] : [];
    this.#put(this.#entries, entry);
    this.#advance(sequence, commit);
    return { kind: 'identities', ids: [id], removed, sequence };
  }

  #replace(entries: WideMap<string, DirectoryEntry>, sequence: number): DirectoryChange {
    const isRestored = this.#earlier !== undefined || this.#settled !== undefined;
    const removed = isRestored ? this.#removedAfterRestore(entries) : this.#removedFrom(entries);
    if (this.#earlier === undefined) this.#generation = this.#newest();
    this.#settled = undefined;
    this.#others = [];
    this.#entries = entries;
    this.#snapshot = undefined;
    this.#missing = undefined;
    this.#ready = true;
    this.#advance(sequence);
    return { kind: 'identities', ids: 'all', removed, sequence };
  }

  /** The identities that a snapshot does not have any more, or whose names belong to others. */
  #removedFrom(entries: ReadonlyMap<string, DirectoryEntry>): RemovedIdentity[] {
    const removed = this.#others;
    if (this.#missing !== undefined) return [...removed, ...this.#missing];
    if (this.#known < this.#entries.size) {
      for (const [id, before] of this.#entries) if (!entries.has(id)) removed.push(before);
    }
    return removed;
  }

  /** As {@link #removedFrom}. Sessions that a restored registry does not know stay until an operator has decided. */
  #removedAfterRestore(entries: ReadonlyMap<string, DirectoryEntry>): RemovedIdentity[] {
    const removed = new Map<string, RemovedIdentity>();
    const earlier = this.#earlier;
    for (const before of [this.#entries, this.#settled?.entries ?? []]) {
      for (const [id, entry] of before) {
        const now = entries.get(id);
        const isGone =
          now === undefined
            ? earlier === undefined
            : isOtherIdentity(entry.createdAtMs, now.createdAtMs);
        if (isGone && !removed.has(id)) removed.set(id, entry);
      }
    }
    for (const id of earlier?.entries.keys() ?? []) if (!entries.has(id)) this.#undecided.add(id);
    return [...removed.values()];
  }

  /** Compares an entry of a snapshot with the one before, as it arrives. */
  #compareWithBefore({ id, createdAtMs }: DirectoryEntry): void {
    const before = this.#entries.get(id);
    if (before === undefined) return;
    this.#known++;
    if (isOtherIdentity(before.createdAtMs, createdAtMs)) this.#others.push(before);
  }

  #sameEpoch(): boolean {
    return this.#epoch === this.#helloEpoch;
  }

  #advance(sequence: number, commit?: number): void {
    this.#epoch = this.#helloEpoch;
    this.#sequence = sequence;
    if (commit !== undefined && this.#earlier === undefined && this.#generation !== undefined) {
      this.#generation = { ...this.#generation, commit };
    }
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
