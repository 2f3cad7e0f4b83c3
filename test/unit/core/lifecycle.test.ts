/** Ordered start, reverse close. @module */
import test from 'ava';
import { Lifecycle } from '../../../core/lifecycle.ts';

test('steps are closed in reverse order, one after the other', async (t) => {
  const lifecycle = new Lifecycle();
  const seen: string[] = [];
  for (const name of ['one', 'two', 'three']) {
    lifecycle.add(name, async () => {
      seen.push(`${name} begins`);
      await Promise.resolve();
      seen.push(`${name} ends`);
    });
  }
  lifecycle.add('at once', () => void seen.push('at once'));
  await lifecycle.close();
  t.deepEqual(seen, [
    'at once',
    ...['three begins', 'three ends', 'two begins', 'two ends', 'one begins', 'one ends'],
  ]);
});

test('two calls of close run the steps once, and both wait for the end', async (t) => {
  const lifecycle = new Lifecycle();
  let closed = 0;
  let release = (): void => undefined;
  lifecycle.add('slow', () => {
    closed++;
    return new Promise<void>((resolve) => (release = resolve));
  });
  const first = lifecycle.close();
  let ended = false;
  const second = lifecycle.close().then(() => (ended = true));
  await Promise.resolve();
  t.false(ended);
  release();
  await Promise.all([first, second]);
  await lifecycle.close();
  t.is(closed, 1);
});

test('a failed step does not prevent the others, and the error names it', async (t) => {
  const lifecycle = new Lifecycle();
  const seen: string[] = [];
  lifecycle.add('first', () => void seen.push('first'));
  lifecycle.add('broken', () => Promise.reject(new Error('why')));
  lifecycle.add('thrown', () => {
    throw new Error('thrown why');
  });
  lifecycle.add('last', () => void seen.push('last'));
  const error = await t.throwsAsync(lifecycle.close(), { instanceOf: AggregateError });
  t.deepEqual(seen, ['last', 'first']);
  const failures = error.errors as Error[];
  t.deepEqual(
    failures.map(({ message, cause }) => [message, (cause as Error).message]),
    [
      ['closing thrown failed', 'thrown why'],
      ['closing broken failed', 'why'],
    ],
  );
});

test('a failed start closes everything that it had opened and throws the cause', async (t) => {
  const lifecycle = new Lifecycle();
  const seen: string[] = [];
  const start = lifecycle.guard(() => {
    lifecycle.add('opened', () => void seen.push('closed'));
    lifecycle.add('bad at closing', () => Promise.reject(new Error('not this')));
    return Promise.reject(new Error('port taken'));
  });
  await t.throwsAsync(start, { message: 'port taken' });
  t.deepEqual(seen, ['closed']);
});

test('a successful start returns its result and closes nothing', async (t) => {
  const lifecycle = new Lifecycle();
  let closed = false;
  const result = await lifecycle.guard(() => {
    lifecycle.add('open', () => void (closed = true));
    return Promise.resolve('ready');
  });
  t.is(result, 'ready');
  t.false(closed);
});

test('steps that are added during or after closing are closed, too', async (t) => {
  const lifecycle = new Lifecycle();
  const seen: string[] = [];
  lifecycle.add('one', () => {
    lifecycle.add('during', () => void seen.push('during'));
    seen.push('one');
  });
  await lifecycle.close();
  lifecycle.add('after', () => void seen.push('after'));
  await lifecycle.close();
  t.deepEqual(seen, ['one', 'during', 'after']);
  lifecycle.add('failing', () => Promise.reject(new Error('late')));
  await t.throwsAsync(lifecycle.close(), { instanceOf: AggregateError });
  lifecycle.add('after that', () => void seen.push('after that'));
  await t.throwsAsync(lifecycle.close(), { instanceOf: AggregateError });
  t.is(seen.at(-1), 'after that');
});
