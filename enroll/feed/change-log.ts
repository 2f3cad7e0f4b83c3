/**
 * The newest changes of the directory as lines of the feed, for brokers that connect again.
 *
 * A run begins with the changes of earlier runs that the registry still knows. So a broker that has followed another
 * run, or another instance, gets what it misses: it names the newest commit that it has.
 *
 * @module
 */
import type { DeviceId } from '../../core/device-id.ts';
import type { FeedLine } from '../../core/protocol/feed.ts';
import type { RecentDevices } from '../registry/registry.ts';
import { entryOf } from './directory-entry.ts';

/** A change that is kept. */
export interface KeptLine {
  readonly sequence: number;
  /** The identity; undefined for a change of the CA certificates. */
  readonly id: DeviceId | undefined;
  /** The commit; undefined for a change of the CA certificates. */
  readonly commit: number | undefined;
  readonly text: string;
}

/** The subject of a line. */
export type LineOrigin = Pick<KeptLine, 'id' | 'commit'>;

export class ChangeLog {
  readonly #max: number;
  #kept: KeptLine[] = [];
  #sequence = 0;
  /** The newest commit of which lines may be missing. */
  #forgotten: number;

  /**
   * @param max how many lines are kept at least, if there are so many
   * @param number the newest commit of the registry
   * @param recent what the registry knows of the commits before; undefined: nothing
   */
  constructor(max: number, number: number, recent: RecentDevices | undefined) {
    this.#max = max;
    this.#forgotten = recent?.after ?? number;
    for (const { commit, id, record } of recent?.changes ?? []) {
      const entry = record === undefined ? undefined : entryOf(record);
      this.add({ id, commit }, (sequence) =>
        entry === undefined
          ? { type: 'removed', sequence, commit, id }
          : { type: 'change', sequence, commit, entry },
      );
    }
  }

  /** The number of the newest change. */
  get sequence(): number {
    return this.#sequence;
  }

  /** Whether all changes after this one are kept. */
  hasAllAfter(sequence: number): boolean {
    return sequence <= this.#sequence && sequence >= this.#oldest - 1;
  }

  /**
   * The number of a change that a broker has, with all before it, if the broker has everything of the commits before
   * this one. Of the commit itself it may have a part. @returns undefined when changes since then are not kept
   */
  beforeCommit(known: number): number | undefined {
    if (known <= this.#forgotten) return undefined;
    const last = this.#kept.findLast(({ commit }) => commit !== undefined && commit < known);
    return last?.sequence ?? this.#oldest - 1;
  }

  /** The changes after this one, oldest first. */
  after(sequence: number): readonly KeptLine[] {
    return this.#kept.filter((kept) => kept.sequence > sequence);
  }

  /** The newest change of each identity, if it is still kept. */
  sequencesOf(ids: readonly DeviceId[]): number[] {
    const wanted = new Set(ids);
    const found: number[] = [];
    for (let at = this.#kept.length - 1; at >= 0 && wanted.size > 0; at--) {
      const kept = this.#kept[at];
      if (kept?.id !== undefined && wanted.delete(kept.id)) found.push(kept.sequence);
    }
    return found;
  }

  /** Adds a change with the next number. */
  add(origin: LineOrigin, make: (sequence: number) => FeedLine): KeptLine {
    const sequence = ++this.#sequence;
    const kept = { ...origin, sequence, text: `${JSON.stringify(make(sequence))}\n` };
    this.#kept.push(kept);
    // Not after each change, because removing the front copies all that stays.
    if (this.#kept.length > this.#max * 1.25) {
      const dropped = this.#kept.slice(0, -this.#max);
      this.#kept = this.#kept.slice(-this.#max);
      const newest = dropped.findLast(({ commit }) => commit !== undefined);
      this.#forgotten = Math.max(this.#forgotten, newest?.commit ?? 0);
    }
    return kept;
  }

  get #oldest(): number {
    return this.#kept[0]?.sequence ?? this.#sequence + 1;
  }
}
