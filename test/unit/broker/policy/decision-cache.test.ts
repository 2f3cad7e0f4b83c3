import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import test from 'ava';
import {
  cachedTopicsMax,
  CacheRoom,
  DecisionCache,
} from '../../../../broker/policy/decision-cache.ts';

test('the decisions of all connections have a limit in bytes: the oldest caches are emptied', (t) => {
  const room = new CacheRoom(10_000);
  const caches = Array.from({ length: 50 }, () => new DecisionCache<boolean>(room));
  for (const cache of caches) {
    cache.set('a'.repeat(400), true);
    cache.set('b'.repeat(400), false);
    t.true(room.bytes <= 10_000);
  }
  t.is(caches[0]?.get('a'.repeat(400)), undefined);
  t.is(caches.at(-1)?.get('b'.repeat(400)), false);
  t.is(caches.filter((cache) => cache.get('a'.repeat(400)) === true).length, 10);
  for (const cache of caches) cache.empty();
  t.is(room.bytes, 0);
});

test('the decisions of one connection are limited in number', (t) => {
  const room = new CacheRoom();
  const cache = new DecisionCache<number>(room);
  for (let n = 0; n <= cachedTopicsMax; n++) cache.set(`t${n}`, n);
  t.is(cache.get('t0'), undefined);
  t.is(cache.get(`t${cachedTopicsMax}`), cachedTopicsMax);
  t.true(room.bytes < 200);
});

test('the decisions of connections that are gone need no memory', async (t) => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const room = new CacheRoom();
  const kept = new DecisionCache<boolean>(room);
  kept.set('kept', true);
  const own = room.bytes;
  fill(room, 1000);
  t.true(room.bytes > own);
  // Garbage is reported in a later turn of the event loop.
  while (room.bytes > own) {
    collect();
    await new Promise((resolve) => setImmediate(resolve));
  }
  t.true(kept.get('kept'));
});

function fill(room: CacheRoom, count: number): void {
  for (let n = 0; n < count; n++) new DecisionCache<boolean>(room).set(`topic/${n}`, true);
}
