/** Refusals on their way to the audit log: counted, bounded, told once. @module */
import test from 'ava';
import fc from 'fast-check';
import { FeedReporter } from '../../../../broker/feed/feed-reporter.ts';
import { RefusalTally, type SeenRefusal } from '../../../../broker/feed/refusal-tally.ts';
import { parseDeviceId } from '../../../../core/device-id.ts';
import { refusalBatchSchema, reportMax, type FeedReport } from '../../../../core/protocol/feed.ts';
import { catalogue } from '../../../../core/errors/catalogue.ts';
import { FlotillaError } from '../../../../core/errors/flotilla-error.ts';
import { fakeClock, type FakeClock } from '../../../support/fake-clock.ts';
import { until } from '../../../support/until.ts';

const stranger: SeenRefusal = {
  code: 'certificate-missing',
  stage: 'connect',
  address: '192.0.2.1',
};
const device = (id: string, topic = 'a'): SeenRefusal => ({
  code: 'publish-denied',
  stage: 'publish',
  id: parseDeviceId(id),
  serial: '0a',
  address: '192.0.2.2',
  topic,
});

test('refusals that are alike are one entry, with their number and the time of the first and last', (t) => {
  const clock = fakeClock();
  const tally = new RefusalTally(clock, 'r', 100);
  const startMs = clock.now();
  for (let n = 0; n < 5; n++) {
    tally.add(stranger);
    tally.add({ ...stranger, address: '192.0.2.9' });
    clock.advance(10);
  }
  tally.add({ ...stranger, code: 'certificate-untrusted' });
  const entries = tally.next(true)?.entries ?? [];
  t.deepEqual(
    entries.map(({ code, address, count }) => `${code} ${address} ${count}`),
    [
      'certificate-missing 192.0.2.1 5',
      'certificate-missing 192.0.2.9 5',
      'certificate-untrusted 192.0.2.1 1',
    ],
  );
  t.like(entries[0], { firstAtMs: startMs, lastAtMs: startMs + 40 });
});

test('a batch stays the same until it was taken, and what happens meanwhile is the next one', (t) => {
  const tally = new RefusalTally(fakeClock(), 'r', 100);
  t.is(tally.next(true), undefined);
  tally.add(stranger);
  t.is(tally.next(false), undefined, 'it is still being gathered');
  const first = tally.next(true)!;
  tally.add(stranger);
  t.is(tally.next(true), first);
  tally.taken(first);
  const second = tally.next(true);
  t.like(second, { run: 'r', number: 2 });
  t.is(second?.entries[0]?.count, 1);
});

test('a flood of strangers is summed, and pushes out nothing that is refused to devices', (t) => {
  const tally = new RefusalTally(fakeClock(), 'r', 100);
  for (let n = 0; n < 10_000; n++) {
    tally.add({ ...stranger, address: `10.0.${n >> 8}.${n & 255}` });
    tally.add({ ...stranger, code: 'handshake-failed', address: `10.1.${n >> 8}.${n & 255}` });
  }
  for (let n = 0; n < 100; n++) tally.add(device('noisy', `topic/${n}`));
  for (let n = 0; n < 20; n++) tally.add(device(`d${n}`));
  const { entries } = tally.next(true)!;
  const apart = entries.filter(({ rest }) => rest === undefined);
  t.is(apart.filter(({ id }) => id === undefined).length, 50, 'half');
  t.is(apart.filter(({ id }) => id === 'noisy').length, 10, 'a tenth');
  t.is(apart.filter(({ id }) => id?.startsWith('d') === true).length, 20, 'each of the others');
  t.deepEqual(
    entries
      .filter(({ rest }) => rest)
      .map(({ code, count, id, address }) => [code, count, id ?? address]),
    [
      ['certificate-missing', 9975, undefined],
      ['handshake-failed', 9975, undefined],
      ['publish-denied', 90, undefined],
    ],
  );
  t.is(
    entries.reduce((sum, { count }) => sum + count, 0),
    20_120,
    'nothing is uncounted',
  );
});

test('a batch is one that the service takes, whatever strangers write, and however many they are', (t) => {
  const codes = Object.keys(catalogue).length;
  t.true(500 + codes <= reportMax.refusals, 'a sum for each code has room too');
  const text = fc.string({ unit: 'binary', maxLength: 400 });
  fc.assert(
    fc.property(fc.array(fc.tuple(text, text, text, text), { minLength: 1 }), (all) => {
      const tally = new RefusalTally(fakeClock(), 'r', 500);
      for (const [address, topic, detail, serial] of all) {
        tally.add({ ...device('d'), address, topic, detail, serial });
      }
      t.true(refusalBatchSchema.safeParse(tally.next(true)).success);
    }),
  );
});

interface Sending {
  readonly clock: FakeClock;
  readonly reporter: FeedReporter;
  readonly tried: FeedReport[];
  fault: Error | undefined;
}

function sending(): Sending {
  const clock = fakeClock();
  const tried: FeedReport[] = [];
  const made: Sending = {
    clock,
    tried,
    fault: undefined,
    reporter: new FeedReporter({
      clock,
      run: 'r',
      refusalsMax: 100,
      failed: () => undefined,
      send: (report) => {
        tried.push(report);
        return made.fault === undefined ? Promise.resolve() : Promise.reject(made.fault);
      },
    }),
  };
  return made;
}

test('refusals are told a second after the first, together', async (t) => {
  const { clock, reporter, tried } = sending();
  reporter.applied('e', 1, 0);
  await until('the first report', () => tried.length === 1);
  for (let n = 0; n < 7; n++) reporter.refused(stranger);
  reporter.applied('e', 2, 0);
  await until('a report of something else', () => tried.length === 2);
  t.is(tried[1]?.refusals, undefined, 'they are still being gathered');
  clock.advance(1000);
  await until('theirs', () => tried.length === 3);
  t.is(tried[2]?.refusals?.entries[0]?.count, 7);
  t.is(clock.pending, 0);
});

test('while the link is down refusals are kept and counted, and the same batch is tried again', async (t) => {
  const world = sending();
  const { clock, reporter, tried } = world;
  world.fault = new FlotillaError('service-unreachable');
  reporter.applied('e', 1, 0);
  reporter.refused(stranger);
  await until('it was tried', () => tried.length === 1 && clock.pending === 2);
  for (let tries = 2; tries < 6; tries++) {
    reporter.refused(stranger);
    clock.advance(1000);
    await until('it was tried again', () => tried.length === tries && clock.pending > 0);
  }
  world.fault = undefined;
  clock.advance(1000);
  await until('all is told', () => tried.at(-1)?.refusals?.number === 2);
  const batches = tried.flatMap(({ refusals }) => refusals ?? []);
  const first = batches.filter(({ number }) => number === 1);
  t.true(first.length >= 3);
  t.true(
    first.every((one) => one === first[0]),
    'unchanged',
  );
  t.is(first[0]!.entries[0]!.count + batches.at(-1)!.entries[0]!.count, 5);
});

test('a stop tells what was not told yet, however much', async (t) => {
  const { clock, reporter, tried } = sending();
  reporter.applied('e', 1, 0);
  await until('the first report', () => tried.length === 1);
  reporter.refused(stranger);
  for (let n = 0; n < 2500; n++) {
    reporter.presence({
      id: parseDeviceId(`d${n}`),
      connected: false,
      atMs: 1,
      serial: '0a',
      remoteAddress: '::1',
    });
  }
  await reporter.stop();
  t.is(tried.flatMap(({ presence }) => presence).length, 2500);
  t.is(tried.flatMap(({ refusals }) => refusals?.entries ?? []).length, 1);
  t.is(clock.pending, 0);
  reporter.refused(stranger);
  t.is(clock.pending, 0, 'nothing after that');
});

test('a report that the service will never take is not tried for ever, and what is in force is told', async (t) => {
  const world = sending();
  const { clock, reporter, tried } = world;
  world.fault = new FlotillaError('request-invalid');
  reporter.refused(stranger);
  clock.advance(1000);
  reporter.applied('e', 1, 3);
  await until('it was tried', () => tried.length === 1 && clock.pending > 0);
  t.truthy(tried[0]?.refusals);
  world.fault = undefined;
  clock.advance(1000);
  await until('the rest of it', () => tried.length === 2);
  t.like(tried[1], { applied: 1, closed: [{ sequence: 1, connections: 3 }] });
  t.is(tried[1]?.refusals, undefined);
});
