/**
 * A map that finds its oldest entry in constant time.
 *
 * The first entry of a Map is the oldest one, but a Map does not find it quickly: what was deleted leaves a gap, and a
 * new iterator walks over all gaps at the beginning. In a cache of 100,000 entries, which loses the oldest one for each
 * new one, that took half of the CPU. This map goes on where it stopped before.
 *
 * @module
 */
export class AgeMap<K, V> extends Map<K, V> {
  /** Every entry in front of it is gone, but for the one whose key it returned last. */
  #keys: Iterator<K> = this.keys();
  #oldest: { readonly key: K } | undefined;

  /** The key that was set first of those that are still there. Setting it again does not make it newer. */
  oldestKey(): K | undefined {
    if (this.#oldest === undefined) {
      let next = this.#keys.next();
      // An iterator that has ended does not return what was set later.
      if (next.done === true) next = (this.#keys = this.keys()).next();
      if (next.done === true) return undefined;
      this.#oldest = { key: next.value };
    }
    return this.#oldest.key;
  }

  /** Sets an entry that becomes the newest one, also if it was there. */
  renew(key: K, value: V): void {
    this.delete(key);
    this.set(key, value);
  }

  override delete(key: K): boolean {
    if (this.#oldest?.key === key) this.#oldest = undefined;
    return super.delete(key);
  }

  override clear(): void {
    super.clear();
    this.#oldest = undefined;
    this.#keys = this.keys();
  }
}
