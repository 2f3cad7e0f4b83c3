/**
 * How much a store file contains.
 *
 * @module
 */
import { inspectStoreFile } from './store-file.ts';

/** Tables of schema.ts, with what people call their rows. */
const tables = {
  session: 'sessions',
  subscription: 'subscriptions',
  queue: 'queued',
  retained: 'retained',
  will: 'wills',
} as const;

/** How many rows of each kind a file has. */
export type StoreCounts = Readonly<Record<(typeof tables)[keyof typeof tables], number>>;

/** Reads a file that no broker has open. @throws FlotillaError `store-…` */
export function countStore(path: string): StoreCounts {
  return inspectStoreFile(path, (database) => {
    const counts = Object.entries(tables).map(([table, name]) => {
      const [row] = database.prepare(`SELECT count(*) AS n FROM ${table}`).all();
      return [name, Number(row?.['n'])] as const;
    });
    // The names are those of the table above.
    return Object.fromEntries(counts) as StoreCounts;
  });
}
