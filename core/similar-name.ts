/**
 * The name that somebody most likely meant.
 *
 * @module
 */

/** Longer names are not compared: the cost grows with the product of the lengths. */
const charsMax = 64;

/** The known name that is closest to a misspelled one; undefined if none is close. */
export function similarName(name: string, known: Iterable<string>): string | undefined {
  if (name.length > charsMax) return undefined;
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(name.length * 0.34)) + 1;
  for (const one of known) {
    if (one.length > charsMax) continue;
    const distance = editDistance(name.toLowerCase(), one.toLowerCase());
    if (distance < bestDistance) [best, bestDistance] = [one, distance];
  }
  return best;
}

/**
 * How many characters must be changed, added, removed, or exchanged with their neighbor (optimal string
 * alignment).
 */
export function editDistance(one: string, other: string): number {
  let before: readonly number[] = [];
  let row = Array.from({ length: other.length + 1 }, (_, at) => at);
  for (let at = 1; at <= one.length; at++) {
    const next = [at];
    for (let to = 1; to <= other.length; to++) {
      const change = (row[to - 1] ?? 0) + (one[at - 1] === other[to - 1] ? 0 : 1);
      const isExchange = one[at - 1] === other[to - 2] && one[at - 2] === other[to - 1];
      const exchange = at > 1 && to > 1 && isExchange ? (before[to - 2] ?? 0) + 1 : change;
      next.push(Math.min(change, exchange, (row[to] ?? 0) + 1, (next[to - 1] ?? 0) + 1));
    }
    [before, row] = [row, next];
  }
  return row[other.length] ?? 0;
}
