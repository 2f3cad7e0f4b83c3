/** Counts in texts for people. @module */

/** `1 identity`, `2 identities`. */
export function amountText(count: number, one: string, several = `${one}s`): string {
  return `${count} ${count === 1 ? one : several}`;
}
