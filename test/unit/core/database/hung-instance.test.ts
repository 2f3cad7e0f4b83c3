import test from 'ava';
import type { DatabaseConnection } from '../../../../core/database/database-connection.ts';
import { HungInstance } from '../../../../core/database/hung-instance.ts';
import { createLog } from '../../../../core/log.ts';

const log = createLog({ level: 'silent' });

/** Looks at an instance until its session is ended, at most a hundred times. Returns which look ended it. */
async function looksUntilEnded(
  betweenMs: number,
  signOf: (look: number) => string | null,
): Promise<number | undefined> {
  let nowMs = 1_000_000;
  let look = 0;
  const ended: number[] = [];
  const answer = (text: string): readonly object[] => {
    if (!text.includes('pg_terminate_backend')) return [{ pid: 7, sign: signOf(look) }];
    ended.push(look);
    return [];
  };
  const connection: Pick<DatabaseConnection, 'isOpen' | 'query'> = {
    isOpen: true,
    // The rows have the type that the statement names.
    query: <Row extends object>(text: string) => Promise.resolve(answer(text) as readonly Row[]),
  };
  const hung = new HungInstance(2, 10_000, log, () => nowMs);
  for (look = 1; look <= 100 && ended.length === 0; look++) {
    await hung.look(connection);
    nowMs += betweenMs;
  }
  return ended[0];
}

test('the session of an instance that gives no sign of life for 10 seconds is ended', async (t) => {
  t.is(await looksUntilEnded(500, () => 'same'), 21);
});

test('a standby that is so busy that it looks only every four seconds ends it as well', async (t) => {
  t.is(await looksUntilEnded(4000, () => 'same'), 11);
});

test('one late look does not begin the wait again', async (t) => {
  let looks = 0;
  t.is(await looksUntilEnded(3100, () => (looks++ < 1 ? 'first' : 'same')), 12);
});

test('an instance that gives signs of life, or whose session works on a statement, keeps its session', async (t) => {
  t.is(await looksUntilEnded(4000, (look) => `sign ${Math.floor(look / 8)}`), undefined);
  t.is(await looksUntilEnded(500, () => null), undefined);
});
