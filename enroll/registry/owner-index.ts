/**
 * The keys of rows by the identity that they belong to.
 *
 * @module
 */
export class OwnerIndex {
  readonly #keys = new Map<string, Set<string>>();

  /** @param owner null: the row belongs to no identity */
  add(owner: string | null, key: string): void {
    if (owner === null) return;
    const known = this.#keys.get(owner);
    if (known === undefined) this.#keys.set(owner, new Set([key]));
    else known.add(key);
  }

  remove(owner: string | null, key: string): void {
    if (owner === null) return;
    const known = this.#keys.get(owner);
    known?.delete(key);
    if (known?.size === 0) this.#keys.delete(owner);
  }

  keysOf(owner: string): readonly string[] {
    return [...(this.#keys.get(owner) ?? [])];
  }
}
