/**
 * Room for something that many identities store, in entries and bytes. It has a limit in all and a share
 * for each identity, so that one identity, or a few, cannot take the room of the others.
 *
 * The last quarter of the room is a reserve: there, an identity may have at most a sixteenth of what is
 * left, so that many greedy identities still leave room for one more.
 *
 * @module
 */
import { WideMap } from '../../core/wide-map.ts';

/** How much an identity may have. */
export interface OwnerShare {
  /** The identity. */
  readonly id: string;
  readonly max: number;
  readonly maxBytes: number;
}

/** A number of entries and their bytes. */
export interface Amount {
  readonly entries: number;
  readonly bytes: number;
}

/** Why there is no room: the share of the identity is used, or the room of all. */
export type RoomRefusal = 'share-used' | 'room-full';

export interface RoomLimits {
  readonly max: number;
  readonly maxBytes: number;
}

/** The part of a room that is no reserve. */
export const openPart = 3 / 4;
const partOfReserve = 1 / 16;
const nothing: Amount = { entries: 0, bytes: 0 };

export class SharedRoom {
  readonly #limits: RoomLimits;
  readonly #byOwner = new WideMap<string, { entries: number; bytes: number }>();
  #entries = 0;
  #bytes = 0;

  constructor(limits: RoomLimits) {
    this.#limits = limits;
  }

  get entries(): number {
    return this.#entries;
  }

  get bytes(): number {
    return this.#bytes;
  }

  usedBy(id: string): Amount {
    return this.#byOwner.get(id) ?? nothing;
  }

  /**
   * Whether more fits.
   *
   * @param share undefined: an entry of nobody, which counts only in all
   * @param added may be negative, when a smaller entry replaces a larger one
   * @param addedToShare differs from `added` when the entry of another identity is replaced
   * @returns why not; undefined if it fits
   */
  refusal(
    share: OwnerShare | undefined,
    added: Amount,
    addedToShare: Amount = added,
  ): RoomRefusal | undefined {
    const entries = this.#entries + added.entries;
    const bytes = this.#bytes + added.bytes;
    const { max, maxBytes } = this.#limits;
    if ((added.entries > 0 && entries > max) || (added.bytes > 0 && bytes > maxBytes)) {
      return 'room-full';
    }
    if (share === undefined) return undefined;
    const used = this.#byOwner.get(share.id);
    const own = {
      entries: (used?.entries ?? 0) + addedToShare.entries,
      bytes: (used?.bytes ?? 0) + addedToShare.bytes,
    };
    return (addedToShare.entries > 0 && own.entries > shareIn(share.max, max, entries, 1)) ||
      (addedToShare.bytes > 0 &&
        own.bytes > shareIn(share.maxBytes, maxBytes, bytes, addedToShare.bytes))
      ? 'share-used'
      : undefined;
  }

  /** Counts an entry, whether it fits or not: what was stored before a restart is never refused. */
  add(id: string | undefined, { entries, bytes }: Amount): void {
    this.#entries += entries;
    this.#bytes += bytes;
    if (id === undefined) return;
    const used = this.#byOwner.get(id);
    if (used === undefined) {
      this.#byOwner.set(id, { entries, bytes });
      return;
    }
    used.entries += entries;
    used.bytes += bytes;
    if (used.entries <= 0 && used.bytes <= 0) this.#byOwner.delete(id);
  }

  remove(id: string | undefined, { entries, bytes }: Amount): void {
    this.add(id, { entries: -entries, bytes: -bytes });
  }
}

/**
 * How much an identity may have.
 *
 * @param shareMax its share
 * @param used what all have, with the new entry
 * @param first the size of its first entry, which it may always have
 */
export function shareIn(shareMax: number, roomMax: number, used: number, first: number): number {
  if (used <= roomMax * openPart) return shareMax;
  return Math.min(shareMax, Math.max(first, (roomMax - used) * partOfReserve));
}
