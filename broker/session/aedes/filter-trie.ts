/**
 * Subscriptions by topic filter: a trie with one node a level, walked by topic name.
 *
 * @module
 */

interface Node<T> {
  readonly values: Map<string, T>;
  readonly children: Map<string, Node<T>>;
}

/** Values under filter and owner: one owner has at most one value a filter. */
export class FilterTrie<T> {
  readonly #root: Node<T> = emptyNode();
  #count = 0;

  get count(): number {
    return this.#count;
  }

  set(filter: string, owner: string, value: T): void {
    let node = this.#root;
    for (const level of filter.split('/')) {
      let child = node.children.get(level);
      if (child === undefined) {
        child = emptyNode();
        node.children.set(level, child);
      }
      node = child;
    }
    if (!node.values.has(owner)) this.#count++;
    node.values.set(owner, value);
  }

  delete(filter: string, owner: string): void {
    const levels = filter.split('/');
    const path = [this.#root];
    for (const level of levels) {
      const child = path.at(-1)?.children.get(level);
      if (child === undefined) return;
      path.push(child);
    }
    if (path.at(-1)?.values.delete(owner) !== true) return;
    this.#count--;
    for (let depth = levels.length; depth > 0; depth--) {
      const node = path[depth];
      if (node === undefined || node.values.size > 0 || node.children.size > 0) return;
      path[depth - 1]?.children.delete(levels[depth - 1] ?? '');
    }
  }

  /** All values whose filter matches a name; those of `#` come before those of `+` and of names. */
  match(name: string): T[] {
    const levels = name.split('/');
    const found: T[] = [];
    const walk = (node: Node<T>, depth: number): void => {
      // [MQTT-4.7.2-1] a wildcard in the first level does not match `$…`.
      const wild = depth > 0 || !name.startsWith('$');
      if (wild)
        for (const value of node.children.get('#')?.values.values() ?? []) found.push(value);
      const level = levels[depth];
      if (level === undefined) {
        found.push(...node.values.values());
        return;
      }
      const one = wild ? node.children.get('+') : undefined;
      if (one !== undefined) walk(one, depth + 1);
      const exact = node.children.get(level);
      // A name holds no wildcards; were it one, it must not be taken for a level.
      if (exact !== undefined && level !== '+' && level !== '#') walk(exact, depth + 1);
    };
    walk(this.#root, 0);
    return found;
  }
}

function emptyNode<T>(): Node<T> {
  return { values: new Map(), children: new Map() };
}
