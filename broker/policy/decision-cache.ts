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

/** The caches that are not empty, the oldest one first. */
export class CacheRoom {
  readonly #maxBytes: number;
  readonly #filled = new AgeMap<{ empty(): void }, true>();
  #bytes = 0;

  constructor(maxBytes = allMaxBytes) {
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  add(cache: { empty(): void }, bytes: number): void {
    this.#filled.set(cache, true);
    this.#bytes += bytes;
    while (this.#bytes > this.#maxBytes && this.#filled.size > 1) {
      const oldest = this.#filled.oldestKey();
      if (oldest === undefined || oldest === cache) break;
      oldest.empty();
    }
  }

  remove(cache: { empty(): void }, bytes: number): void {
    if (this.#filled.delete(cache)) this.#bytes -= bytes;
  }
}

export class DecisionCache<T> {
  readonly #room: CacheRoom;
  /** Created on first use: most connections are idle. */
  #decisions: Map<string, T> | undefined = undefined;
  #bytes = 0;

  constructor(room: CacheRoom) {
    this.#room = room;
  }

  get(topic: string): T | undefined {
    return this.#decisions?.get(topic);
  }

  set(topic: string, decision: T): void {
    // Emptying the whole cache is simple and sufficient, because a device uses few topics.
    if (this.#decisions !== undefined && this.#decisions.size >= cachedTopicsMax) this.empty();
    const bytes = decisionOverheadBytes + topic.length;
    (this.#decisions ??= new Map<string, T>()).set(topic, decision);
    this.#bytes += bytes;
    this.#room.add(this, bytes);
  }

  empty(): void {
    this.#room.remove(this, this.#bytes);
    this.#decisions = undefined;
    this.#bytes = 0;
  }
}
