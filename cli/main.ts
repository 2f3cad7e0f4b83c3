/**
 * The command line's entry.
 *
 * @module
 */

/** Runs one command; gives the exit code. */
export function main(args: readonly string[]): Promise<number> {
  process.stdout.write(`flotilla ${args.join(' ')}\n`);
  return Promise.resolve(0);
}
