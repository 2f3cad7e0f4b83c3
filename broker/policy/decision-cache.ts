/**
 * Decisions of the policy about the topics of one connection. The caches of all connections share a limit in
 * bytes: the oldest ones are emptied, so that clients that invent topics cannot fill the memory.
 *
 * @module
 */
import { AgeMap } from '../../core/age-map.ts';

/** Maximum cached topics of one connection and action. */
export const cachedTopicsMax = 512;
/** The memory of all cached decisions. */
const allMaxBytes = 64 * 1024 * 1024;
/** The memory of a decision without its topic. */
const decisionOverheadBytes = 100;

/** What a cache uses of the memory of all. */
interface Place {
  /** The cache belongs to its connection: when that is gone, nobody can use what is cached. */
  readonly cache: WeakRef<{ empty(): void }>;
  bytes: number;
}

/** The memory of all caches: those that are not empty, the oldest one first. */
export class CacheRoom {
  readonly #maxBytes: number;
  readonly #filled = new AgeMap<Place, true>();
  readonly #gone = new FinalizationRegistry<Place>((place) => this.remove(place));
  #bytes = 0;

  constructor(maxBytes = allMaxBytes) {
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** The place of a cache. It ends with the cache. */
  placeOf(cache: { empty(): void }): Place {
    const place = { cache: new WeakRef(cache), bytes: 0 };
    this.#gone.register(cache, place);
    return place;
  }

  add(place: Place, bytes: number): void {
    this.#filled.set(place, true);
    place.bytes += bytes;
    this.#bytes += bytes;
    while (this.#bytes > this.#maxBytes && this.#filled.size > 1) {
      const oldest = this.#filled.oldestKey();
      if (oldest === undefined || oldest === place) break;
      oldest.cache.deref()?.empty();
      this.remove(oldest);
    }
  }

  /** Idempotent. */
  remove(place: Place): void {
    this.#filled.delete(place);
    this.#bytes -= place.bytes;
    place.bytes = 0;
  }
}

export class DecisionCache<T> {
  readonly #room: CacheRoom;
  /** Both are created on first use: most connections are idle. */
  #decisions: Map<string, T> | undefined = undefined;
  #place: Place | undefined = undefined;

  constructor(room: CacheRoom) {
    this.#room = room;
  }

  get(topic: string): T | undefined {
    return this.#decisions?.get(topic);
  }

  set(topic: string, decision: T): void {
    // Emptying the whole cache is simple and sufficient, because a device uses few topics.
    if (this.#decisions !== undefined && this.#decisions.size >= cachedTopicsMax) this.empty();
    (this.#decisions ??= new Map<string, T>()).set(topic, decision);
    this.#place ??= this.#room.placeOf(this);
    this.#room.add(this.#place, decisionOverheadBytes + topic.length);
  }

  empty(): void {
    this.#decisions = undefined;
    if (this.#place !== undefined) this.#room.remove(this.#place);
  }
}
