import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { openJournalStore } from '../support/journal-store.ts';
import {
  postgresServer,
  skipsWithoutServer,
  type PostgresServer,
} from '../support/postgres-server.ts';
import { sessionStoreContract } from '../support/store-contract.ts';
import { tempFolder } from '../support/temp-folder.ts';

let server: PostgresServer | undefined;
test.before(async (t) => {
  t.timeout(120_000);
  server = await postgresServer();
});
test.after.always(() => server?.close());

const contractTest: typeof test = Object.assign(
  (title: string, run: (t: ExecutionContext) => Promise<void>) => {
    test(title, async (t) => {
      t.timeout(120_000);
      if (skipsWithoutServer(t, server) !== undefined) await run(t);
    });
  },
  test,
);

for (const [kind, times] of [
  ['journal in PostgreSQL', { checkpointMs: 1_000_000, checkpointBytes: 1e12 }],
  [
    'journal in PostgreSQL with a checkpoint of each batch',
    { checkpointMs: 1, checkpointBytes: 1 },
  ],
] as const) {
  sessionStoreContract({
    test: contractTest,
    kind,
    durable: true,
    openHome(t, { limits, clock }) {
      const url = server?.database() ?? Promise.resolve('');
      // Each start has a folder of its own: everything comes from the database.
      const open = async (): Promise<Awaited<ReturnType<typeof openJournalStore>>> => {
        const path = join(tempFolder(t), 'broker', 'index.sqlite');
        return openJournalStore({ path, limits, clock, url: await url, times });
      };
      return { open, clock };
    },
  });
}
