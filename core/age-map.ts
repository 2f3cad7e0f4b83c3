/**
 * A map that finds its oldest entry in constant time.
 *
 * The first entry of a Map is the oldest one, but a Map does not find it quickly: what was deleted leaves a gap, and a
 * new iterator walks over all gaps at the beginning. In a cache of 100,000 entries, which loses the oldest one for each
 * new one, that took half of the CPU. This map goes on where it stopped before.
 *
 * @module
 */

/** An iterator is not kept for more deletions than this, and as many as there are entries. */
const keptDeletionsMin = 64;

export class AgeMap<K, V> extends Map<K, V> {
  /** Every entry in front of it is gone, but for the one whose key it returned last. */
  #keys: Iterator<K> | undefined;
  #oldest: { readonly key: K } | undefined;
  /** Since the iterator was made. */
  #deletions = 0;

  /** The key that was set first of those that are still there. Setting it again does not make it newer. */
  oldestKey(): K | undefined {
    this.#oldest ??= this.#nextKey();
    return this.#oldest?.key;
  }

  /** Sets an entry that becomes the newest one, also if it was there. */
  renew(key: K, value: V): void {
    this.delete(key);
    this.set(key, value);
  }

  override delete(key: K): boolean {
    if (this.#oldest?.key === key) this.#oldest = undefined;
    // V8 keeps every former table of a map that an iterator has not walked past.
    if (this.#keys !== undefined && ++this.#deletions > this.size + keptDeletionsMin) {
      this.#startAgain();
    }
    return super.delete(key);
  }

  override clear(): void {
    super.clear();
    this.#startAgain();
  }

  #nextKey(): { readonly key: K } | undefined {
    const next = this.#keys?.next();
    if (next !== undefined && next.done !== true) return { key: next.value };
    // There is none yet, or it has ended: then it does not return what was set later.
    this.#startAgain();
    this.#keys = this.keys();
    const first = this.#keys.next();
    return first.done === true ? undefined : { key: first.value };
  }

  #startAgain(): void {
    this.#keys = undefined;
    this.#oldest = undefined;
    this.#deletions = 0;
  }
}
