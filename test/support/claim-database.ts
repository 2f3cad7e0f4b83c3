/**
 * The database of claims for tests: one session for statements, one for notifications.
 *
 * @module
 */
import type { PostgresClaimsDeps } from '../../broker/cluster/postgres-claims.ts';
import { parseDatabaseUrl } from '../../core/config/database-url.ts';
import { DatabaseConnection } from '../../core/database/database-connection.ts';

export type ClaimDatabase = PostgresClaimsDeps['database'];

export interface OpenedClaimDatabase extends ClaimDatabase {
  close(): Promise<void>;
}

export async function openClaimDatabase(url: string, node: string): Promise<OpenedClaimDatabase> {
  const access = { address: parseDatabaseUrl(url), password: undefined, ca: undefined };
  const [statements, notifications] = await Promise.all([
    DatabaseConnection.open(access, node),
    DatabaseConnection.open(access, node),
  ]);
  let last: Promise<unknown> = Promise.resolve();
  return {
    query<Row extends object>(text: string, values?: readonly unknown[]) {
      const next = last.then(() => statements.query<Row>(text, values));
      last = next.catch(() => undefined);
      return next;
    },
    listen: (channel, notified) => notifications.listen(channel, notified),
    async close() {
      await Promise.all([statements.close(), notifications.close()]);
    },
  };
}
