/**
 * The first items of a sequence in the order of a text key, after a cursor, without sorting all of it.
 *
 * @module
 */

export interface KeyPage<T> {
  readonly items: readonly T[];
  /** The key of the last item when there are more. */
  readonly next: string | null;
}

export function pageByKey<T>(
  items: Iterable<T>,
  keyOf: (item: T) => string,
  { limit, after }: { readonly limit: number; readonly after?: string | undefined },
): KeyPage<T> {
  const byKey = (one: T, other: T): number => (keyOf(one) < keyOf(other) ? -1 : 1);
  let page: T[] = [];
  let last: string | undefined;
  for (const item of items) {
    const key = keyOf(item);
    if (after !== undefined && key <= after) continue;
    if (last !== undefined && key >= last) continue;
    page.push(item);
    if (page.length < 2 * limit + 64) continue;
    page = page.sort(byKey).slice(0, limit + 1);
    const end = page.at(-1);
    last = end === undefined ? undefined : keyOf(end);
  }
  page.sort(byKey);
  const found = page.slice(0, limit);
  const end = found.at(-1);
  return { items: found, next: page.length > limit && end !== undefined ? keyOf(end) : null };
}
