/**
 * All subscriptions by topic filter. Topic names are looked up in it.
 *
 * @module
 */
import { TopicTree } from '../../core/topic-tree.ts';
import type { Subscription, SharedTurn } from './topic-route.ts';

/** The members of a shared subscription: one group and one filter [MQTT-4.8.2-3]. */
export interface SharedGroup<S> {
  readonly turn: SharedTurn;
  readonly group: string;
  readonly filter: string;
  readonly members: Map<S, Subscription<S>>;
}

/** The subscriptions that match a topic name. */
export interface Matches<S> {
  readonly subscriptions: Subscription<S>[];
  /** How many filters the subscriptions have. With one, each is of another subscriber. */
  filters: number;
  readonly groups: SharedGroup<S>[];
}

/** The subscriptions with one filter. */
interface Subscribers<S> {
  direct: Map<S, Subscription<S>> | undefined;
  groups: Map<string, SharedGroup<S>> | undefined;
}

export class FilterTree<S extends object> {
  readonly #tree = new TopicTree<Subscribers<S>>();
  #size = 0;

  /** The number of subscriptions, including shared ones. */
  get size(): number {
    return this.#size;
  }

  /**
   * Adds a subscription, or replaces the one of the same subscriber, filter and group.
   *
   * @returns the one that it replaced
   */
  add(subscription: Subscription<S>): Subscription<S> | undefined {
    const { filter, group, subscriber } = subscription;
    let subscribers = this.#tree.get(filter);
    if (subscribers === undefined) {
      subscribers = { direct: undefined, groups: undefined };
      this.#tree.set(filter, subscribers);
    }
    const members =
      group === undefined
        ? (subscribers.direct ??= new Map<S, Subscription<S>>())
        : groupOf(subscribers, group, filter).members;
    const replaced = members.get(subscriber);
    if (replaced === undefined) this.#size++;
    members.set(subscriber, subscription);
    return replaced;
  }

  /** Removes a subscription. @returns it; undefined if there was none */
  remove(subscriber: S, filter: string, name: string | undefined): Subscription<S> | undefined {
    const subscribers = this.#tree.get(filter);
    if (subscribers === undefined) return undefined;
    const group = name === undefined ? undefined : subscribers.groups?.get(name);
    const members = name === undefined ? subscribers.direct : group?.members;
    const removed = members?.get(subscriber);
    if (members === undefined || removed === undefined) return undefined;
    members.delete(subscriber);
    this.#size--;
    if (members.size > 0) return removed;
    if (name === undefined) subscribers.direct = undefined;
    else subscribers.groups?.delete(name);
    if (subscribers.groups?.size === 0) subscribers.groups = undefined;
    if (subscribers.direct === undefined && subscribers.groups === undefined) {
      this.#tree.delete(filter);
    }
    return removed;
  }

  /** Finds the subscriptions that match a topic name. */
  match(topic: string): Matches<S> {
    const matches: Matches<S> = { subscriptions: [], filters: 0, groups: [] };
    for (const { direct, groups } of this.#tree.matching(topic)) {
      if (direct !== undefined) {
        matches.filters++;
        for (const subscription of direct.values()) matches.subscriptions.push(subscription);
      }
      if (groups !== undefined) for (const group of groups.values()) matches.groups.push(group);
    }
    return matches;
  }
}

function groupOf<S>(subscribers: Subscribers<S>, name: string, filter: string): SharedGroup<S> {
  subscribers.groups ??= new Map();
  let group = subscribers.groups.get(name);
  if (group === undefined) {
    group = { turn: { next: 0, taken: 0 }, group: name, filter, members: new Map() };
    subscribers.groups.set(name, group);
  }
  return group;
}
