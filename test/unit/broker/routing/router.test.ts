import test from 'ava';
import fc from 'fast-check';
import { Router, routesAlwaysKeptMax, routesKeptMs } from '../../../../broker/routing/router.ts';
import { topicMatches } from '../../../../core/topic.ts';

interface TestSubscriber {
  readonly name: string;
}
const subscribers: readonly TestSubscriber[] = ['a', 'b', 'c'].map((name) => ({ name }));

const level = fc.constantFrom('a', 'b', '', '$x');
const name = fc
  .array(level, { minLength: 1, maxLength: 4 })
  .map((levels) => levels.join('/'))
  .filter((text) => text !== '');
const filter = fc
  .tuple(fc.array(fc.oneof(level, fc.constant('+')), { minLength: 1, maxLength: 4 }), fc.boolean())
  .map(([levels, many]) => [...levels, ...(many ? ['#'] : [])].join('/'))
  .filter((text) => text !== '');
const change = fc.record({
  index: fc.nat(2),
  filter,
  group: fc.constantFrom(undefined, undefined, 'g', 'h'),
  qos: fc.constantFrom<(0 | 1 | 2)[]>(0, 1, 2),
  add: fc.boolean(),
});

function router(cacheMaxTopics = 100): Router<TestSubscriber> {
  return new Router<TestSubscriber>({ cacheMaxTopics, mayReceive: () => true });
}

const options = {
  group: undefined,
  noLocal: false,
  retainAsPublished: false,
  identifier: undefined,
};

test('a route has the receivers whose filters match, at their highest QoS, whatever was cached before', (t) => {
  fc.assert(
    fc.property(
      fc.array(change, { maxLength: 30 }),
      fc.array(name, { minLength: 1, maxLength: 5 }),
      fc.nat(3),
      (changes, names, cacheMaxTopics) => {
        const routes = router(cacheMaxTopics);
        const model = new Map<string, (typeof changes)[number]>();
        for (const one of changes) {
          const subscriber = subscribers[one.index]!;
          const key = `${one.index} ${one.group ?? ''} ${one.filter}`;
          if (one.add) {
            model.set(key, one);
            routes.add({
              ...options,
              subscriber,
              filter: one.filter,
              group: one.group,
              qos: one.qos,
            });
          } else if (
            (routes.remove(subscriber, one.filter, one.group) !== undefined) !==
            model.delete(key)
          ) {
            return false;
          }
          for (const topic of names) {
            const route = routes.route(topic);
            const matching = [...model.values()].filter((sub) => topicMatches(sub.filter, topic));
            const expected = new Map<string, number>();
            for (const sub of matching.filter((sub) => sub.group === undefined)) {
              const { name: subscriberName } = subscribers[sub.index]!;
              expected.set(subscriberName, Math.max(expected.get(subscriberName) ?? 0, sub.qos));
            }
            const got = new Map(
              route.targets.map((target) => [target.subscriber.name, target.qos]),
            );
            const members = route.shared.reduce((sum, { members: list }) => sum + list.length, 0);
            if (
              route.targets.length !== expected.size ||
              [...expected].some(([subscriberName, qos]) => got.get(subscriberName) !== qos) ||
              members !== matching.filter((sub) => sub.group !== undefined).length
            ) {
              return false;
            }
          }
          if (
            routes.subscriptions !== model.size ||
            routes.cachedRoutes > Math.max(cacheMaxTopics, 0)
          )
            return false;
        }
        return true;
      },
    ),
    { numRuns: 300 },
  );
  t.pass();
});

test('a route is cached until a subscription that matches its topic changes', (t) => {
  const routes = router();
  const [one, two] = subscribers as [TestSubscriber, TestSubscriber];
  routes.add({ ...options, subscriber: one, filter: 'a/+', qos: 0 });
  const route = routes.route('a/b');
  routes.add({ ...options, subscriber: two, filter: 'b/#', qos: 0 });
  routes.add({ ...options, subscriber: two, filter: 'a/c', qos: 0 });
  t.is(routes.route('a/b'), route);
  t.false(route.stale);
  routes.add({ ...options, subscriber: two, filter: 'a/#', qos: 1 });
  t.true(route.stale);
  t.is(routes.route('a/b').targets.length, 2);
  routes.invalidateAll();
  t.is(routes.cachedRoutes, 0);
});

test('a filter that matches many cached routes removes all of them, in bounded time', (t) => {
  const routes = router(100_000);
  const other = routes.route('other');
  for (let n = 0; n < 5000; n++) routes.route(`many/${n}`);
  const [one] = subscribers as [TestSubscriber];
  routes.add({ ...options, subscriber: one, filter: 'many/#', qos: 0 });
  t.is(routes.cachedRoutes, 0);
  t.true(other.stale);
  t.is(routes.route('many/7').targets.length, 1);
});

test('the route cache is limited: the oldest route is evicted', (t) => {
  const routes = router(3);
  const first = routes.route('t/0');
  for (let n = 1; n < 10; n++) routes.route(`t/${n}`);
  t.is(routes.cachedRoutes, 3);
  t.true(first.stale);
});

test('a large cache is emptied from time to time, so that topics that nobody uses any more need no memory', (t) => {
  const routes = router(100_000);
  routes.renew(0);
  for (let n = 0; n < routesAlwaysKeptMax; n++) routes.route(`t/${n}`);
  routes.renew(routesKeptMs);
  t.is(routes.cachedRoutes, routesAlwaysKeptMax, 'a small one stays');
  const one = routes.route('one more');
  routes.renew(2 * routesKeptMs - 1);
  t.false(one.stale);
  routes.renew(2 * routesKeptMs);
  t.true(one.stale);
  t.is(routes.cachedRoutes, 0);
});

test('fewer long topics than short ones fit into the cache', (t) => {
  const routes = router(100);
  const deep = 'x/'.repeat(500);
  for (let n = 0; n < 200; n++) routes.route(`${n}/${deep}`);
  t.true(routes.cachedRoutes < 30, `${routes.cachedRoutes} routes`);
  for (let n = 0; n < 200; n++) routes.route(`t/${n}`);
  t.is(routes.cachedRoutes, 100);
  routes.invalidate('#');
  t.is(routes.cachedRoutes, 0);
});

test('a subscriber that may not receive a topic is not in its route', (t) => {
  const asked: string[] = [];
  const routes = new Router<TestSubscriber>({
    cacheMaxTopics: 10,
    mayReceive: ({ name: subscriberName }, topic) => {
      asked.push(`${subscriberName} ${topic}`);
      return subscriberName !== 'b';
    },
  });
  for (const subscriber of subscribers) {
    routes.add({ ...options, subscriber, filter: '#', qos: 0 });
    routes.add({ ...options, subscriber, filter: 's', group: 'g', qos: 0 });
  }
  const { targets, shared } = routes.route('s');
  t.deepEqual(
    targets.map(({ subscriber }) => subscriber.name),
    ['a', 'c'],
  );
  t.deepEqual(
    shared[0]?.members.map(({ subscriber }) => subscriber.name),
    ['a', 'c'],
  );
  const before = asked.length;
  routes.route('s');
  t.is(asked.length, before);
});

test('a cached route counts its receivers, so that fewer routes with many of them are cached', (t) => {
  const some = router(100);
  const many = router(100);
  const add = (one: Router<TestSubscriber>, count: number, group: string | undefined): void => {
    for (let n = 0; n < count; n++) {
      one.add({ ...options, group, subscriber: { name: `s${n}` }, filter: '#', qos: 0 });
    }
  };
  add(some, 1, undefined);
  add(many, 50, undefined);
  add(many, 50, 'g');
  for (let n = 0; n < 100; n++) {
    some.route(`t/${n}`);
    many.route(`t/${n}`);
  }
  t.true(some.cachedRoutes > 90);
  t.true(many.cachedRoutes < 10);
});
