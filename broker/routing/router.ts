/**
 * Topic → receivers. A route is computed once and kept while nothing that concerns it changes; the
 * cache is bounded, the oldest route gives way.
 *
 * @module
 */
import { SubscriptionTrie } from './subscription-trie.ts';
import {
  mergedTarget,
  targetOf,
  type Route,
  type SharedTarget,
  type Subscription,
  type Target,
} from './topic-route.ts';
import { TopicIndex } from './topic-index.ts';

export interface RouterOptions<S> {
  /** The most routes that are kept. */
  readonly cacheMaxTopics: number;
  /** Whether a subscriber may be given a topic at all: asked once a route and subscriber. */
  readonly mayReceive: (subscriber: S, topic: string) => boolean;
}

export class Router<S extends object> {
  readonly #trie = new SubscriptionTrie<S>();
  readonly #routes = new Map<string, Route<S>>();
  readonly #index = new TopicIndex<Route<S>>();
  readonly #options: RouterOptions<S>;
  /** What the cached routes take in memory, about. */
  #cacheBytes = 0;

  constructor(options: RouterOptions<S>) {
    this.#options = options;
  }

  /** How many subscriptions stand. */
  get subscriptions(): number {
    return this.#trie.size;
  }

  get cachedRoutes(): number {
    return this.#routes.size;
  }

  add(subscription: Subscription<S>): void {
    this.#trie.add(subscription);
    this.invalidate(subscription.filter);
  }

  /** @returns false when there was no such subscription */
  remove(subscriber: S, filter: string, group: string | undefined): boolean {
    if (!this.#trie.remove(subscriber, filter, group)) return false;
    this.invalidate(filter);
    return true;
  }

  /** The route of a topic name, which must be valid. */
  route(topic: string): Route<S> {
    return this.#routes.get(topic) ?? this.#compute(topic);
  }

  /** Forgets the routes of all topics that a filter matches. */
  invalidate(filter: string): void {
    if (!filter.includes('+') && !filter.includes('#')) {
      const route = this.#routes.get(filter);
      if (route !== undefined) this.#forget(route);
      return;
    }
    for (const route of this.#index.match(filter)) this.#forget(route);
  }

  /** Forgets all routes: the policy changed. */
  invalidateAll(): void {
    for (const route of this.#routes.values()) route.stale = true;
    this.#cacheBytes = 0;
    this.#routes.clear();
    this.#index.clear();
  }

  #forget(route: Route<S>): void {
    route.stale = true;
    this.#cacheBytes -= routeBytes(route.topic);
    this.#routes.delete(route.topic);
    this.#index.delete(route.topic);
  }

  #compute(topic: string): Route<S> {
    const { subscriptions, groups } = this.#trie.match(topic);
    const { mayReceive, cacheMaxTopics } = this.#options;
    const route: Route<S> = {
      topic,
      targets: targetsOf(subscriptions, (subscriber) => mayReceive(subscriber, topic)),
      shared: groups
        .map((group): SharedTarget<S> => {
          const members: Target<S>[] = [];
          for (const one of group.members.values()) {
            if (mayReceive(one.subscriber, topic)) members.push(targetOf(one));
          }
          return { members, turn: group.turn };
        })
        .filter((group) => group.members.length > 0),
      stale: false,
    };
    if (cacheMaxTopics === 0) {
      route.stale = true;
      return route;
    }
    this.#cacheBytes += routeBytes(topic);
    while (
      this.#routes.size >= cacheMaxTopics ||
      (this.#cacheBytes > cacheMaxTopics * typicalRouteBytes && this.#routes.size > 0)
    ) {
      const [oldest] = this.#routes.values();
      if (oldest === undefined) break;
      this.#forget(oldest);
    }
    this.#routes.set(topic, route);
    this.#index.set(topic, route);
    return route;
  }
}

/**
 * What a cached route takes, about: its topic twice, a node of the index a level. A client that makes
 * up long topics fills the cache with fewer of them.
 */
function routeBytes(topic: string): number {
  let levels = 1;
  for (let at = topic.indexOf('/'); at !== -1; at = topic.indexOf('/', at + 1)) levels++;
  return 200 + 2 * topic.length + 200 * levels;
}

/** Of a usual topic: four levels, thirty characters. */
const typicalRouteBytes = 1060;

function targetsOf<S extends object>(
  subscriptions: readonly Subscription<S>[],
  may: (subscriber: S) => boolean,
): Target<S>[] {
  const [first] = subscriptions;
  if (first === undefined) return [];
  if (subscriptions.length === 1) return may(first.subscriber) ? [targetOf(first)] : [];
  const bySubscriber = new Map<S, Subscription<S>[]>();
  for (const one of subscriptions) {
    const list = bySubscriber.get(one.subscriber);
    if (list === undefined) bySubscriber.set(one.subscriber, [one]);
    else list.push(one);
  }
  const targets: Target<S>[] = [];
  for (const [subscriber, list] of bySubscriber) {
    const target = may(subscriber) ? mergedTarget(list) : undefined;
    if (target !== undefined) targets.push(target);
  }
  return targets;
}
