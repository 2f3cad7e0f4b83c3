/** The page cache of the store is freed while nobody uses it. */
import test from 'ava';
import { IdleCache } from '../../../../broker/store/idle-cache.ts';
import { until } from '../../../support/until.ts';

function cachingDatabase() {
  const statements: string[] = [];
  return {
    statements,
    isTransaction: false,
    exec: (sql: string) => void statements.push(sql),
  };
}

test('the cache is freed once after each time of use, and not in a transaction', async (t) => {
  const database = cachingDatabase();
  const cache = new IdleCache(database, 1);
  t.teardown(() => cache.stop());
  cache.use();
  await until('the cache is freed', () => database.statements.length === 1);
  t.deepEqual(database.statements, ['PRAGMA shrink_memory']);
  database.isTransaction = true;
  cache.use();
  let checks = 0;
  // The timer below starts later than that of the cache, so each of its calls is behind one check.
  const timer = setInterval(() => checks++, 1);
  t.teardown(() => clearInterval(timer));
  await until('some checks', () => checks >= 5);
  t.is(database.statements.length, 1, 'a transaction needs its pages');
  database.isTransaction = false;
  await until('the cache is freed again', () => database.statements.length === 2);
  checks = 0;
  await until('some checks', () => checks >= 5);
  t.is(database.statements.length, 2, 'nothing was used since');
});
