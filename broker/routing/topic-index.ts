/**
 * A trie of the topics that have a cached route. When a subscription changes, only the routes that its
 * filter matches are removed from the cache. Otherwise the cache would never be warm in a fleet in which
 * a device connects every second.
 *
 * @module
 */

interface Node<V> {
  value: V | undefined;
  children: Map<string, Node<V>> | undefined;
}

export class TopicIndex<V extends object> {
  readonly #root: Node<V> = { value: undefined, children: undefined };

  set(topic: string, value: V): void {
    let node = this.#root;
    for (const level of topic.split('/')) {
      node.children ??= new Map();
      let child = node.children.get(level);
      if (child === undefined) {
        child = { value: undefined, children: undefined };
        node.children.set(level, child);
      }
      node = child;
    }
    node.value = value;
  }

  delete(topic: string): void {
    const levels = topic.split('/');
    const path = [this.#root];
    for (const level of levels) {
      const child = path.at(-1)?.children?.get(level);
      if (child === undefined) return;
      path.push(child);
    }
    const leaf = path.at(-1);
    if (leaf !== undefined) leaf.value = undefined;
    for (let depth = levels.length; depth > 0; depth--) {
      const node = path[depth];
      if (node?.value !== undefined || node?.children !== undefined) break;
      const parent = path[depth - 1];
      parent?.children?.delete(levels[depth - 1] ?? '');
      if (parent?.children?.size === 0) parent.children = undefined;
    }
  }

  /** The values whose topics a filter matches, as in `topicMatches`. */
  match(filter: string): V[] {
    const found: V[] = [];
    const levels = filter.split('/');
    const nodes: Node<V>[] = [this.#root];
    const depths: number[] = [0];
    for (let node = nodes.pop(); node !== undefined; node = nodes.pop()) {
      const depth = depths.pop() ?? 0;
      const level = levels[depth];
      const isMultiLevel = level === '#';
      if ((level === undefined || isMultiLevel) && node.value !== undefined) found.push(node.value);
      if (level === undefined || node.children === undefined) continue;
      if (isMultiLevel || level === '+') {
        for (const [name, child] of node.children) {
          if (node === this.#root && name.startsWith('$')) continue;
          nodes.push(child);
          depths.push(isMultiLevel ? depth : depth + 1);
        }
      } else {
        const child = node.children.get(level);
        if (child !== undefined) {
          nodes.push(child);
          depths.push(depth + 1);
        }
      }
    }
    return found;
  }

  clear(): void {
    this.#root.children = undefined;
  }
}
