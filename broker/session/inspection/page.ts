/**
 * The first items of a sequence in some order, without sorting all of it, in turns of the event loop.
 *
 * @module
 */
import { forEachInTurns } from '../../../core/work-turns.ts';

export interface KeyPage<T> {
  readonly items: readonly T[];
  /** The key of the last item when there are more. */
  readonly next: string | null;
}

/** The first items behind a cursor in the order of a text key. The items may change between turns. */
export async function pageByKey<T>(
  items: Iterable<T | undefined>,
  keyOf: (item: T) => string,
  { limit, after }: { readonly limit: number; readonly after?: string | undefined },
): Promise<KeyPage<T>> {
  const isBehind = (item: T): boolean => after === undefined || keyOf(item) > after;
  const first = await firstInOrder(
    items,
    limit + 1,
    (one, other) => {
      const [key, otherKey] = [keyOf(one), keyOf(other)];
      return key < otherKey ? -1 : key === otherKey ? 0 : 1;
    },
    isBehind,
  );
  const found = first.slice(0, limit);
  const end = found.at(-1);
  return { items: found, next: first.length > limit && end !== undefined ? keyOf(end) : null };
}

/**
 * The first items in an order. Memory is bounded by `limit`.
 *
 * @param items undefined: nothing, in this step
 * @param isWanted only these items
 */
export async function firstInOrder<T>(
  items: Iterable<T | undefined>,
  limit: number,
  compare: (one: T, other: T) => number,
  isWanted: (item: T) => boolean,
): Promise<T[]> {
  let first: T[] = [];
  let last: T | undefined;
  await forEachInTurns(items, (item) => {
    if (item === undefined || !isWanted(item)) return;
    if (last !== undefined && compare(item, last) >= 0) return;
    first.push(item);
    if (first.length < 2 * limit + 64) return;
    first = first.sort(compare).slice(0, limit);
    last = first.at(-1);
  });
  return first.sort(compare).slice(0, limit);
}
