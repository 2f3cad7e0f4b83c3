/**
 * Finds the receivers of a topic. A route is computed once and cached until a subscription or the policy
 * changes it. The cache is bounded; the oldest route is evicted.
 *
 * @module
 */
import { AgeMap } from '../../core/age-map.ts';
import { TopicTree } from '../../core/topic-tree.ts';
import { FilterTree, type Matches } from './filter-tree.ts';
import {
  mergedTarget,
  targetOf,
  type Route,
  type SharedTarget,
  type Subscription,
  type Target,
} from './topic-route.ts';

export interface RouterOptions<S> {
  /** How many routes are cached at most. */
  readonly cacheMaxTopics: number;
  /** Whether a subscriber may receive a topic. Called once for each route and subscriber. */
  readonly mayReceive: (subscriber: S, topic: string) => boolean;
}

export class Router<S extends object> {
  readonly #trie = new FilterTree<S>();
  readonly #routes = new AgeMap<string, ComputedRoute<S>>();
  /**
   * The cached routes by topic. When a subscription changes, only the routes that its filter matches are
   * removed from the cache. Otherwise the cache would never be warm in a fleet in which a device connects
   * every second.
   */
  readonly #index = new TopicTree<ComputedRoute<S>>();
  readonly #options: RouterOptions<S>;
  #generation: Generation = { isOver: false };
  /** The approximate memory of the cached routes. */
  #cacheBytes = 0;
  #renewedAtMs = -Infinity;

  constructor(options: RouterOptions<S>) {
    this.#options = options;
  }

  /** The number of subscriptions. */
  get subscriptions(): number {
    return this.#trie.size;
  }

  get cachedRoutes(): number {
    return this.#routes.size;
  }

  /** Adds a subscription. @returns the one that it replaced */
  add(subscription: Subscription<S>): Subscription<S> | undefined {
    const replaced = this.#trie.add(subscription);
    this.invalidate(subscription.filter);
    return replaced;
  }

  /** Removes a subscription. @returns it; undefined if there was none */
  remove(subscriber: S, filter: string, group: string | undefined): Subscription<S> | undefined {
    const removed = this.#trie.remove(subscriber, filter, group);
    if (removed !== undefined) this.invalidate(filter);
    return removed;
  }

  /** The route of a valid topic name. */
  route(topic: string): Route<S> {
    return this.#routes.get(topic) ?? this.#compute(topic);
  }

  /** Removes the cached routes of all topics that a filter matches. */
  invalidate(filter: string): void {
    if (!filter.includes('+') && !filter.includes('#')) {
      const route = this.#routes.get(filter);
      if (route !== undefined) this.#evict(route);
      return;
    }
    const matched: ComputedRoute<S>[] = [];
    let steps = 0;
    for (const entry of this.#index.walkEntries(filter)) {
      if (entry?.value !== undefined) matched.push(entry.value);
      if (++steps < invalidationStepsMax) continue;
      // One packet may have a hundred such filters. Computing routes again costs less than to visit them.
      this.invalidateAll();
      return;
    }
    for (const route of matched) this.#evict(route);
  }

  /**
   * To be called regularly: empties a large cache from time to time, because most of its topics may never be used
   * again. Computing 100,000 routes again takes about 0.3 s in all, spread over the messages that need them.
   */
  renew(nowMs: number): void {
    if (nowMs - this.#renewedAtMs < routesKeptMs) return;
    this.#renewedAtMs = nowMs;
    if (this.#routes.size > routesAlwaysKeptMax) this.invalidateAll();
  }

  /** Removes all cached routes: the policy has changed. */
  invalidateAll(): void {
    // Not one by one: there can be a hundred thousand.
    this.#generation.isOver = true;
    this.#generation = { isOver: false };
    this.#cacheBytes = 0;
    this.#routes.clear();
    this.#index.clear();
  }

  #evict(route: ComputedRoute<S>): void {
    route.isEvicted = true;
    this.#cacheBytes -= routeBytes(route);
    this.#routes.delete(route.topic);
    this.#index.delete(route.topic);
  }

  #compute(topic: string): Route<S> {
    const matches = this.#trie.match(topic);
    const { mayReceive, cacheMaxTopics } = this.#options;
    const route = new ComputedRoute<S>(
      topic,
      targetsOf(matches, (subscriber) => mayReceive(subscriber, topic)),
      matches.groups
        .map(({ group, filter, turn, members: all }): SharedTarget<S> => {
          const members: Target<S>[] = [];
          for (const member of all.values()) {
            if (mayReceive(member.subscriber, topic)) members.push(targetOf(member));
          }
          return { members, group, filter, turn };
        })
        .filter((group) => group.members.length > 0),
      this.#generation,
    );
    if (cacheMaxTopics === 0) {
      route.isEvicted = true;
      return route;
    }
    this.#cacheBytes += routeBytes(route);
    while (
      this.#routes.size >= cacheMaxTopics ||
      (this.#cacheBytes > cacheMaxTopics * typicalRouteBytes && this.#routes.size > 0)
    ) {
      const oldest = this.#routes.get(this.#routes.oldestKey() ?? '');
      if (oldest === undefined) break;
      this.#evict(oldest);
    }
    this.#routes.set(topic, route);
    this.#index.set(topic, route);
    return route;
  }
}

/** The routes that are cached together, until all of them are removed. */
interface Generation {
  isOver: boolean;
}

class ComputedRoute<S> implements Route<S> {
  readonly topic: string;
  readonly targets: readonly Target<S>[];
  readonly shared: readonly SharedTarget<S>[];
  isEvicted = false;
  readonly #generation: Generation;

  constructor(
    topic: string,
    targets: readonly Target<S>[],
    shared: readonly SharedTarget<S>[],
    generation: Generation,
  ) {
    this.topic = topic;
    this.targets = targets;
    this.shared = shared;
    this.#generation = generation;
  }

  get stale(): boolean {
    return this.isEvicted || this.#generation.isOver;
  }
}

/** How long routes are cached at most, unless there are only so many. */
export const routesKeptMs = 120_000;
export const routesAlwaysKeptMax = 1000;
/** So many nodes of the index are visited at most to find the routes that a filter matches. */
const invalidationStepsMax = 1000;

/**
 * The approximate memory of a cached route, of its receivers, and of its node in the index. With long topics,
 * or many receivers, fewer routes fit.
 */
function routeBytes<S>({ topic, targets, shared }: Route<S>): number {
  let receivers = targets.length;
  for (const { members } of shared) receivers += members.length;
  return 600 + 2 * topic.length + receivers * targetBytes;
}

/** The memory of a receiver in a route (measured: 73). */
const targetBytes = 80;

/** The memory of a route with a typical topic: thirty characters. */
const typicalRouteBytes = 660;

function targetsOf<S extends object>(
  { subscriptions, filters }: Matches<S>,
  mayReceive: (subscriber: S) => boolean,
): Target<S>[] {
  const targets: Target<S>[] = [];
  if (filters <= 1) {
    for (const subscription of subscriptions) {
      if (mayReceive(subscription.subscriber)) targets.push(targetOf(subscription));
    }
    return targets;
  }
  const bySubscriber = new Map<S, Subscription<S>[]>();
  for (const subscription of subscriptions) {
    const list = bySubscriber.get(subscription.subscriber);
    if (list === undefined) bySubscriber.set(subscription.subscriber, [subscription]);
    else list.push(subscription);
  }
  for (const [subscriber, list] of bySubscriber) {
    const target = mayReceive(subscriber) ? mergedTarget(list) : undefined;
    if (target !== undefined) targets.push(target);
  }
  return targets;
}
