/**
 * A tree of topic names or topic filters with path compression: a node has one or more levels, and there
 * are fewer than twice as many nodes as values. So the memory of an entry does not depend on the number
 * of its levels, which the client chooses.
 *
 * @module
 */
import { WideMap } from './wide-map.ts';

/** A topic with its value, as a walk visits it. */
export interface TopicEntry<V> {
  readonly name: string;
  readonly value: V | undefined;
}

interface Node<V> extends TopicEntry<V> {
  /** A topic whose beginning is the path of this node. Nodes share this string instead of copying it. */
  name: string;
  /** The end of the path in {@link name}. The levels of a node begin behind those of its parent. */
  readonly end: number;
  value: V | undefined;
  /** By the first level of each child. */
  children: Map<string, Node<V>> | WideMap<string, Node<V>> | undefined;
}

/** Children that a walk has not visited yet, the start of their levels, and the position in the filter. */
interface Frame<V> {
  readonly nodes: Iterator<Node<V>>;
  readonly start: number;
  readonly depth: number;
}

const noMatch = -1;
/** From so many children on, a node has a map that grows in small steps. Copying so many takes about 5 ms. */
const wideFrom = 16_384;

export class TopicTree<V> {
  readonly #root: Node<V> = { name: '', end: -1, value: undefined, children: undefined };
  #nodes = 0;
  #size = 0;

  /** The number of values. */
  get size(): number {
    return this.#size;
  }

  /** The number of nodes, including those without a value. */
  get nodes(): number {
    return this.#nodes;
  }

  get(topic: string): V | undefined {
    return this.#find(topic, undefined)?.value;
  }

  /** Sets the value of a topic. @returns the previous one, which it replaces; undefined if there was none */
  set(topic: string, value: V): V | undefined {
    const node = this.#insert(topic);
    const before = node.value;
    if (before === undefined) this.#size++;
    node.name = topic;
    node.value = value;
    return before;
  }

  /** Removes a value and the nodes that only it needs. @returns the value; undefined if there was none */
  delete(topic: string): V | undefined {
    const path = [this.#root];
    const node = this.#find(topic, path);
    const value = node?.value;
    if (node === undefined || value === undefined) return undefined;
    node.value = undefined;
    this.#size--;
    for (let depth = path.length - 1; depth > 0; depth--) {
      const one = path[depth];
      const parent = path[depth - 1];
      if (one !== undefined && parent !== undefined) this.#tidy(one, parent, topic);
    }
    return value;
  }

  clear(): void {
    this.#root.children = undefined;
    this.#nodes = 0;
    this.#size = 0;
  }

  /**
   * Visits the topics that a filter matches, in any order. Each step visits one node and yields its value
   * if the filter matches it, otherwise undefined, so that the caller can stop between any two steps.
   * Between two steps the tree may change: a value that is in the tree during the whole walk is visited
   * exactly once. [MQTT-4.7.2-1] wildcards in the first level do not match names that begin with `$`;
   * [MQTT-4.7.1-3] `+` matches an empty level; `a/#` matches `a`.
   */
  *walk(filter: string): Generator<V | undefined, void, undefined> {
    for (const entry of this.walkEntries(filter)) yield entry?.value;
  }

  /** As {@link walk}, with the topics. */
  *walkEntries(filter: string): Generator<TopicEntry<V> | undefined, void, undefined> {
    const levels = filter.split('/');
    const frames: Frame<V>[] = [];
    const first = frameOf(this.#root, levels, 0);
    if (first !== undefined) frames.push(first);
    for (let frame = frames.at(-1); frame !== undefined; frame = frames.at(-1)) {
      const next = frame.nodes.next();
      if (next.done === true) {
        frames.pop();
        continue;
      }
      const node = next.value;
      const depth = depthBehind(node, frame.start, levels, frame.depth);
      if (depth === noMatch) {
        yield undefined;
        continue;
      }
      const deeper = frameOf(node, levels, depth);
      if (deeper !== undefined) frames.push(deeper);
      const isMatch = depth === levels.length || levels[depth] === '#';
      yield isMatch && node.value !== undefined ? node : undefined;
    }
  }

  /** The values whose topics a filter matches, as {@link walk}. */
  *match(filter: string): Generator<V, void, undefined> {
    for (const value of this.walk(filter)) if (value !== undefined) yield value;
  }

  /** Every value, also those of names that begin with `$`. One step for each node, as {@link walkEntries}. */
  *walkAll(): Generator<TopicEntry<V> | undefined, void, undefined> {
    const open: Iterator<Node<V>>[] = [];
    if (this.#root.children !== undefined) open.push(this.#root.children.values());
    for (let nodes = open.at(-1); nodes !== undefined; nodes = open.at(-1)) {
      const next = nodes.next();
      if (next.done === true) {
        open.pop();
        continue;
      }
      const node = next.value;
      if (node.children !== undefined) open.push(node.children.values());
      yield node.value === undefined ? undefined : node;
    }
  }

  /**
   * For a tree of filters: collects the values of the filters that match a topic name, by the rules of
   * {@link walk}.
   */
  matching(topic: string): V[] {
    const found: V[] = [];
    const levels = topic.split('/');
    const isSystem = topic.startsWith('$');
    // A stack instead of recursion, because the client chooses the depth.
    const open: { readonly node: Node<V>; readonly depth: number }[] = [
      { node: this.#root, depth: 0 },
    ];
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      const { node, depth } = at;
      if (node.children === undefined) continue;
      const level = levels[depth];
      const candidates = depth === 0 && isSystem ? [level] : [level, '+', '#'];
      for (const name of candidates) {
        const child = name === undefined ? undefined : node.children.get(name);
        if (child === undefined) continue;
        const behind = depthOfTopic(child, node.end + 1, levels, depth);
        if (behind === noMatch) continue;
        if (behind === levels.length && child.value !== undefined) found.push(child.value);
        // `#` ends a filter. Behind the last level of the topic, only `#` can match.
        if (name !== '#') open.push({ node: child, depth: behind });
      }
    }
    return found;
  }

  /** The node of a topic. @param path filled with the nodes from the root to it */
  #find(topic: string, path: Node<V>[] | undefined): Node<V> | undefined {
    let node = this.#root;
    for (let start = 0; ; start = node.end + 1) {
      const child = node.children?.get(topic.slice(start, levelEnd(topic, start)));
      if (child === undefined || !hasPath(topic, child, start)) return undefined;
      path?.push(child);
      node = child;
      if (node.end === topic.length) return node;
    }
  }

  /** The node of a topic, which is created when it does not exist. */
  #insert(topic: string): Node<V> {
    let node = this.#root;
    for (let start = 0; ; start = node.end + 1) {
      const level = topic.slice(start, levelEnd(topic, start));
      const children = childrenFor(node);
      let child = children.get(level);
      if (child === undefined) {
        child = { name: topic, end: topic.length, value: undefined, children: undefined };
        children.set(ownString(level), child);
        this.#nodes++;
        return child;
      }
      if (!hasPath(topic, child, start)) {
        child = split(child, sharedEnd(topic, child, start));
        children.set(level, child);
        this.#nodes++;
      }
      if (child.end === topic.length) return child;
      node = child;
    }
  }

  /** Removes a node that has no value and less than two children: an only child takes its place. */
  #tidy(node: Node<V>, parent: Node<V>, deleted: string): void {
    if (node.value !== undefined) return;
    const [only] = node.children?.values() ?? [];
    if (only === undefined || node.children?.size === 1) {
      const start = parent.end + 1;
      const level = node.name.slice(start, levelEnd(node.name, start));
      if (only !== undefined) parent.children?.set(level, only);
      else parent.children?.delete(level);
      if (parent.children?.size === 0) parent.children = undefined;
      this.#nodes--;
    } else if (node.name === deleted) {
      // The deleted topic must not stay in memory.
      node.name = only.name;
    }
  }
}

/** The children of a node that gets one more. A large fleet has a node with a child for each device. */
function childrenFor<V>(node: Node<V>): Map<string, Node<V>> | WideMap<string, Node<V>> {
  const children = (node.children ??= new Map<string, Node<V>>());
  if (children.size < wideFrom || children instanceof WideMap) return children;
  return (node.children = new WideMap(children));
}

/** The children of a node that can match the filter from a level on; undefined: none. */
function frameOf<V>(node: Node<V>, levels: readonly string[], depth: number): Frame<V> | undefined {
  const level = levels[depth];
  if (level === undefined || node.children === undefined) return undefined;
  const start = node.end + 1;
  if (level === '+' || level === '#') return { nodes: node.children.values(), start, depth };
  const child = node.children.get(level);
  return child === undefined ? undefined : { nodes: [child].values(), start, depth };
}

/**
 * Compares the levels of a node of topic names with a filter.
 *
 * @returns the position in the filter behind the levels of the node, or that of its `#`; or `noMatch`
 */
function depthBehind<V>(
  { name, end }: Node<V>,
  nodeStart: number,
  levels: readonly string[],
  nodeDepth: number,
): number {
  let depth = nodeDepth;
  for (let start = nodeStart; start <= end; depth++) {
    const level = levels[depth];
    const next = levelEnd(name, start);
    if (level === undefined) return noMatch;
    if (level === '+' || level === '#') {
      if (start === 0 && name.startsWith('$')) return noMatch;
      if (level === '#') return depth;
    } else if (next - start !== level.length || !name.startsWith(level, start)) {
      return noMatch;
    }
    start = next + 1;
  }
  return depth;
}

/** Like {@link depthBehind} for a node of filters and the levels of a topic name. */
function depthOfTopic<V>(
  { name, end }: Node<V>,
  nodeStart: number,
  levels: readonly string[],
  nodeDepth: number,
): number {
  let depth = nodeDepth;
  for (let start = nodeStart; start <= end; depth++) {
    const next = levelEnd(name, start);
    const length = next - start;
    const isWildcard = length === 1 && (name[start] === '+' || name[start] === '#');
    if (isWildcard && name[start] === '#') return levels.length;
    const level = levels[depth];
    if (level === undefined) return noMatch;
    if (!isWildcard && (length !== level.length || !name.startsWith(level, start))) return noMatch;
    start = next + 1;
  }
  return depth;
}

/** Inserts a node above `child` that ends at a level of it. */
function split<V>(child: Node<V>, end: number): Node<V> {
  const { name } = child;
  const level = name.slice(end + 1, levelEnd(name, end + 1));
  const children = new Map([[ownString(level), child]]);
  return { name, end, value: undefined, children };
}

/** Whether a topic continues from `start` as the path of a node does. */
function hasPath<V>(topic: string, { name, end }: Node<V>, start: number): boolean {
  if (topic.length < end || (topic.length > end && topic[end] !== '/')) return false;
  return topic.startsWith(name.slice(start, end), start);
}

/** The end of the last level that a topic and a node have in common. The first one is the same. */
function sharedEnd<V>(topic: string, { name, end }: Node<V>, start: number): number {
  let shared = levelEnd(topic, start);
  for (let next = shared; next < end;) {
    next = levelEnd(name, next + 1);
    if (next > end || levelEnd(topic, shared + 1) !== next) break;
    if (!topic.startsWith(name.slice(shared, next), shared)) break;
    shared = next;
  }
  return shared;
}

/** The end of the level that begins at `start`. */
function levelEnd(topic: string, start: number): number {
  const slash = topic.indexOf('/', start);
  return slash === -1 ? topic.length : slash;
}

/** Shorter slices are copies. */
const sliceMinChars = 13;

/** A copy of a slice, which would otherwise keep the whole topic in memory. */
function ownString(slice: string): string {
  return slice.length < sliceMinChars ? slice : Buffer.from(slice).toString();
}
