/**
 * All subscriptions by topic filter: a trie with one node for each level. Topic names are looked up in it.
 *
 * @module
 */
import type { Subscription, SharedTurn } from './topic-route.ts';

/** The members of a shared subscription: one group and one filter [MQTT-4.8.2-3]. */
export interface SharedGroup<S> {
  readonly turn: SharedTurn;
  readonly members: Map<S, Subscription<S>>;
}

/** The subscriptions that match a topic name. */
export interface Matches<S> {
  readonly subscriptions: Subscription<S>[];
  readonly groups: SharedGroup<S>[];
}

export class SubscriptionTrie<S extends object> {
  readonly #root = new TrieNode<S>();
  #size = 0;

  /** The number of subscriptions, including shared ones. */
  get size(): number {
    return this.#size;
  }

  /** Adds a subscription, or replaces the one of the same subscriber, filter and group. */
  add(subscription: Subscription<S>): void {
    let node = this.#root;
    for (const level of subscription.filter.split('/')) node = node.child(level);
    const members =
      subscription.group === undefined
        ? node.directSubscriptions()
        : node.group(subscription.group).members;
    if (!members.has(subscription.subscriber)) this.#size++;
    members.set(subscription.subscriber, subscription);
  }

  /** Removes a subscription and its empty nodes. @returns false if there was no such subscription */
  remove(subscriber: S, filter: string, group: string | undefined): boolean {
    const levels = filter.split('/');
    const path = [this.#root];
    for (const level of levels) {
      const next = path.at(-1)?.children?.get(level);
      if (next === undefined) return false;
      path.push(next);
    }
    if (path.at(-1)?.remove(subscriber, group) !== true) return false;
    this.#size--;
    for (let depth = levels.length; depth > 0; depth--) {
      if (path[depth]?.isEmpty !== true) break;
      path[depth - 1]?.removeChild(levels[depth - 1] ?? '');
    }
    return true;
  }

  /**
   * Finds the subscriptions that match a topic name. [MQTT-4.7.2-1] wildcards in the first level do not
   * match names that begin with `$`; [MQTT-4.7.1-3] `+` matches an empty level; `a/#` matches `a`.
   */
  match(topic: string): Matches<S> {
    const matches: Matches<S> = { subscriptions: [], groups: [] };
    const levels = topic.split('/');
    // A stack instead of recursion, because the client chooses the depth.
    const nodes: TrieNode<S>[] = [this.#root];
    const depths: number[] = [0];
    const isSystem = topic.startsWith('$');
    for (let node = nodes.pop(); node !== undefined; node = nodes.pop()) {
      const depth = depths.pop() ?? 0;
      const { children } = node;
      const level = levels[depth];
      const wildcardsMatch = depth > 0 || !isSystem;
      if (wildcardsMatch) children?.get('#')?.collect(matches);
      if (level === undefined) {
        node.collect(matches);
        continue;
      }
      const exact = children?.get(level);
      if (exact !== undefined) {
        nodes.push(exact);
        depths.push(depth + 1);
      }
      const plus = wildcardsMatch ? children?.get('+') : undefined;
      if (plus !== undefined) {
        nodes.push(plus);
        depths.push(depth + 1);
      }
    }
    return matches;
  }
}

class TrieNode<S extends object> {
  children: Map<string, TrieNode<S>> | undefined = undefined;
  #subscriptions: Map<S, Subscription<S>> | undefined = undefined;
  #groups: Map<string, SharedGroup<S>> | undefined = undefined;

  get isEmpty(): boolean {
    return (
      this.children === undefined && this.#subscriptions === undefined && this.#groups === undefined
    );
  }

  child(level: string): TrieNode<S> {
    this.children ??= new Map();
    let child = this.children.get(level);
    if (child === undefined) this.children.set(level, (child = new TrieNode()));
    return child;
  }

  removeChild(level: string): void {
    this.children?.delete(level);
    if (this.children?.size === 0) this.children = undefined;
  }

  directSubscriptions(): Map<S, Subscription<S>> {
    return (this.#subscriptions ??= new Map<S, Subscription<S>>());
  }

  group(name: string): SharedGroup<S> {
    this.#groups ??= new Map();
    let group = this.#groups.get(name);
    if (group === undefined) {
      group = { turn: { next: 0 }, members: new Map() };
      this.#groups.set(name, group);
    }
    return group;
  }

  remove(subscriber: S, name: string | undefined): boolean {
    if (name === undefined) {
      const found = this.#subscriptions?.delete(subscriber) ?? false;
      if (this.#subscriptions?.size === 0) this.#subscriptions = undefined;
      return found;
    }
    const group = this.#groups?.get(name);
    const found = group?.members.delete(subscriber) ?? false;
    if (group?.members.size === 0) this.#groups?.delete(name);
    if (this.#groups?.size === 0) this.#groups = undefined;
    return found;
  }

  collect(matches: Matches<S>): void {
    if (this.#subscriptions !== undefined)
      for (const subscription of this.#subscriptions.values())
        matches.subscriptions.push(subscription);
    if (this.#groups !== undefined)
      for (const group of this.#groups.values()) matches.groups.push(group);
  }
}
