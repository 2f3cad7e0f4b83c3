import fc from 'fast-check';
import test, { type ExecutionContext } from 'ava';
import { NodeLease } from '../../broker/cluster/node-lease.ts';
import {
  checkInRow,
  claimRow,
  newRow,
  recoverRow,
  releaseRow,
  retryRow,
  type Incarnation,
  type OwnershipRow,
} from '../../broker/cluster/ownership-row.ts';
import {
  ensureOwnershipTables,
  fencedState,
  fenceStatement,
  joinStatement,
  recoverStatement,
  transactionsStatement,
  unrecoveredStatement,
} from '../../broker/cluster/ownership-tables.ts';
import { systemClock } from '../../core/clock.ts';
import { openClaimDatabase, type OpenedClaimDatabase } from '../support/claim-database.ts';
import { postgresServer, skipsWithoutServer } from '../support/postgres-server.ts';

const opened = await postgresServer();
test.after.always(() => opened?.close());

interface StoredRow {
  readonly node: string | null;
  readonly number: string | null;
  readonly epoch: string;
  readonly connected: boolean;
  readonly transfer: string | null;
  readonly transfer_to: string | null;
}

/** A new database with the tables; undefined: there is no server, and the test is skipped. */
async function databaseWithTables(t: ExecutionContext): Promise<OpenedClaimDatabase | undefined> {
  const server = skipsWithoutServer(t, opened);
  if (server === undefined) return undefined;
  const database = await openClaimDatabase(await server.database(), 'test');
  t.teardown(() => database.close());
  await ensureOwnershipTables(database);
  return database;
}

const nodes = ['broker-1', 'broker-2', 'broker-3'];

/** One step of a history: which broker does what. Old numbers are those of an earlier step. */
const step = fc.record({
  node: fc.constantFrom(...nodes),
  kind: fc.constantFrom('claim', 'retry', 'check-in', 'release', 'end', 'fence' as const),
  isOld: fc.boolean(),
});

test('the function of the database changes a row as the reducer does', async (t) => {
  const database = await databaseWithTables(t);
  if (database === undefined) return;
  const join = async (node: string): Promise<number> => {
    const [row] = await database.query<{ number: string }>(joinStatement, [node]);
    return Number(row?.number);
  };
  let history = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
      const client = `c${++history}`;
      let row: OwnershipRow = newRow;
      const incarnations = new Map<string, Incarnation>();
      for (const node of nodes) {
        incarnations.set(node, { node, number: await join(node) });
      }
      /** The numbers of the database for those of the reducer. */
      const epochs = [0];
      const transfers = [0];
      for (const { node, kind, isOld } of steps) {
        const by = incarnations.get(node)!;
        if (kind === 'fence') {
          row = recoverRow(row, by);
          incarnations.set(node, { node, number: await join(node) });
          const late = [
            { kind: 'claim', client, identity: client, connectionsMax: 9, connection: {} },
          ];
          await database.query(transactionsStatement, [node, by.number, JSON.stringify(late)]).then(
            () => t.fail('a fenced incarnation writes'),
            (error: unknown) => t.is((error as { code?: string }).code, fencedState),
          );
          await database.query(recoverStatement, [1000]);
          continue;
        }
        const epoch = isOld ? Math.max(0, row.epoch - 1) : row.epoch;
        const transfer = isOld ? Math.max(0, row.lastTransfer - 1) : row.lastTransfer;
        const request = {
          ...{ kind: kind === 'end' ? 'release' : kind, client, identity: client },
          ...{
            epoch: epochs[epoch],
            transfer: transfers[transfer],
            sessionStays: kind === 'release',
          },
          ...{ connectionsMax: 9, isAssigned: false, connection: { address: 'a', serial: 's' } },
        };
        const [result] = await database.query<{ reply: Record<string, unknown> }>(
          transactionsStatement,
          [node, by.number, JSON.stringify([request])],
        );
        const { reply } = result!;
        if (kind === 'claim' || kind === 'retry') {
          const change =
            kind === 'claim'
              ? claimRow(row, by)
              : retryRow(row, by, transfer === 0 ? -1 : transfer);
          row = change.row;
          if (reply['kind'] !== change.reply.kind)
            throw new Error(JSON.stringify({ reply, change, by, kind, request }));
          if (change.reply.kind === 'granted') {
            t.is(reply['takesOver'], change.reply.takesOver);
            t.true(Number(reply['epoch']) > Math.max(...epochs));
            epochs[row.epoch] = Number(reply['epoch']);
          } else if (change.reply.kind === 'wait') {
            transfers[change.reply.transfer] = Number(reply['transfer']);
            t.is(reply['epoch'], epochs[change.reply.epoch]);
            t.deepEqual(reply['owner'], change.reply.owner);
          }
        } else if (kind === 'check-in') row = checkInRow(row, by, epoch).row;
        else row = releaseRow(row, by, epoch, kind === 'release').row;
        const [found] = await database.query<StoredRow>(
          'SELECT * FROM flotilla.broker_session_owner WHERE client = $1',
          [client],
        );
        if (found === undefined) {
          t.true(
            row.owner === undefined && row.transfer === undefined,
            'an ended session has no row',
          );
          continue;
        }
        const owner =
          found.node === null ? undefined : { node: found.node, number: Number(found.number) };
        t.deepEqual(owner, row.owner);
        t.is(found.connected, row.connected);
        t.is(Number(found.epoch), epochs[row.epoch] ?? -1);
        t.is(found.transfer_to ?? undefined, row.transfer?.by.node);
        t.is(
          found.transfer === null ? undefined : Number(found.transfer),
          row.transfer && transfers[row.transfer.number],
        );
      }
    }),
    { numRuns: 100 },
  );
});

test('another identity cannot replace a claim that waits', async (t) => {
  const database = await databaseWithTables(t);
  if (database === undefined) return;
  for (const node of nodes) await database.query(joinStatement, [node]);
  const ask = async (node: string, identity: string, more: object): Promise<unknown> => {
    const request = { client: 'c', identity, connectionsMax: 9, connection: {}, ...more };
    const [result] = await database.query<{ reply: unknown }>(transactionsStatement, [
      ...[node, 1, JSON.stringify([request])],
    ]);
    return result?.reply;
  };
  const granted = (await ask('broker-1', 'a', { kind: 'claim' })) as { epoch: number };
  t.like(await ask('broker-2', 'b', { kind: 'claim' }), { code: 'client-id-not-allowed' });
  await ask('broker-1', 'a', { kind: 'release', epoch: granted.epoch, sessionStays: true });
  t.like(await ask('broker-2', 'a', { kind: 'claim' }), { kind: 'wait' });
  t.like(await ask('broker-3', 'b', { kind: 'claim' }), { code: 'client-id-not-allowed' });
});

test('tables of another version are refused', async (t) => {
  const database = await databaseWithTables(t);
  if (database === undefined) return;
  await ensureOwnershipTables(database);
  await database.query('UPDATE flotilla.broker_cluster SET format = 99');
  t.like(await t.throwsAsync(ensureOwnershipTables(database)), { code: 'database-version' });
});

test('sessions of a fenced node are recovered by another one than that which has fenced it', async (t) => {
  const database = await databaseWithTables(t);
  if (database === undefined) return;
  await database.query(joinStatement, ['broker-1']);
  await database.query(`INSERT INTO flotilla.broker_session_owner (client, identity, node, number, epoch)
    SELECT 'c' || n, 'a', 'broker-1', 1, n FROM generate_series(1, 2500) n`);
  await database.query(fenceStatement, [-1000, 'broker-2']);
  const hints = { send: () => t.fail('nobody waits') };
  const lease = new NodeLease({ clock: systemClock, database, node: 'broker-3', hints });
  await lease.recover();
  const [left] = await database.query<{ count: number }>(
    'SELECT count(*)::int AS count FROM flotilla.broker_session_owner WHERE node IS NOT NULL',
  );
  t.is(left?.count, 0);
  t.deepEqual(await database.query(unrecoveredStatement), []);
});
