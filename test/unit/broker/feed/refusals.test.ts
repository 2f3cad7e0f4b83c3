/** Refusals that are reported for the audit log: counted, limited, reported once. @module */
import test from 'ava';
import fc from 'fast-check';
import { FeedReporter } from '../../../../broker/feed/feed-reporter.ts';
import { RefusalTally, type SeenRefusal } from '../../../../broker/feed/refusal-tally.ts';
import { parseDeviceId } from '../../../../core/device-id.ts';
import { refusalBatchSchema, reportMax, type FeedReport } from '../../../../core/protocol/feed.ts';
import { silentLog } from '../../../../core/log.ts';
import { catalogue } from '../../../../core/errors/catalogue.ts';
import { FlotillaError } from '../../../../core/errors/flotilla-error.ts';
import { fakeClock, type FakeClock } from '../../../support/fake-clock.ts';
import { until } from '../../../support/until.ts';

const unidentified: SeenRefusal = {
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

test('equal refusals are one entry with a count and the time of the first and the last', (t) => {
  const clock = fakeClock();
  const tally = new RefusalTally(clock, 'r', 100);
  const startMs = clock.now();
  for (let n = 0; n < 5; n++) {
    tally.add(unidentified);
    tally.add({ ...unidentified, address: '192.0.2.9' });
    clock.advance(10);
  }
  tally.add({ ...unidentified, code: 'certificate-untrusted' });
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

test('a batch does not change until it is confirmed; later refusals are in the next one', (t) => {
  const tally = new RefusalTally(fakeClock(), 'r', 100);
  t.is(tally.next(true), undefined);
  tally.add(unidentified);
  t.is(tally.next(false), undefined, 'it is still being collected');
  const first = tally.next(true)!;
  tally.add(unidentified);
  t.is(tally.next(true), first);
  tally.confirmed(first);
  const second = tally.next(true);
  t.like(second, { run: 'r', number: 2 });
  t.is(second?.entries[0]?.count, 1);
});

test('a flood of unidentified clients is summed and does not displace the refusals of devices', (t) => {
  const tally = new RefusalTally(fakeClock(), 'r', 100);
  for (let n = 0; n < 10_000; n++) {
    tally.add({ ...unidentified, address: `10.0.${n >> 8}.${n & 255}` });
    tally.add({ ...unidentified, code: 'handshake-failed', address: `10.1.${n >> 8}.${n & 255}` });
  }
  for (let n = 0; n < 100; n++) tally.add(device('noisy', `topic/${n}`));
  for (let n = 0; n < 20; n++) tally.add(device(`d${n}`));
  const { entries } = tally.next(true)!;
  const distinct = entries.filter(({ rest }) => rest === undefined);
  t.is(distinct.filter(({ id }) => id === undefined).length, 50, 'half of the entries');
  t.is(distinct.filter(({ id }) => id === 'noisy').length, 10, 'a tenth of the entries');
  t.is(distinct.filter(({ id }) => id?.startsWith('d') === true).length, 20, 'all other devices');
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
    'every refusal is counted',
  );
});

test('the service accepts every batch, whatever text and however many refusals it contains', (t) => {
  const codes = Object.keys(catalogue).length;
  t.true(500 + codes <= reportMax.refusals, 'there is also space for a sum of each code');
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
  failure: Error | undefined;
}

function sending(): Sending {
  const clock = fakeClock();
  const tried: FeedReport[] = [];
  const created: Sending = {
    clock,
    tried,
    failure: undefined,
    reporter: new FeedReporter({
      clock,
      run: 'r',
      refusalsMax: 100,
      log: silentLog,
      send: (report) => {
        tried.push(report);
        return created.failure === undefined ? Promise.resolve() : Promise.reject(created.failure);
      },
    }),
  };
  return created;
}

test('refusals are reported together, one second after the first', async (t) => {
  const { clock, reporter, tried } = sending();
  reporter.applied('e', 1, 0);
  await until('the first report', () => tried.length === 1);
  for (let n = 0; n < 7; n++) reporter.refused(unidentified);
  reporter.applied('e', 2, 0);
  await until('a report without refusals', () => tried.length === 2);
  t.is(tried[1]?.refusals, undefined, 'they are still being collected');
  clock.advance(1000);
  await until('the report with refusals', () => tried.length === 3);
  t.is(tried[2]?.refusals?.entries[0]?.count, 7);
  t.is(clock.pending, 0);
});

test('while the service is unavailable, refusals are counted and the same batch is sent again', async (t) => {
  const world = sending();
  const { clock, reporter, tried } = world;
  world.failure = new FlotillaError('service-unreachable');
  reporter.applied('e', 1, 0);
  reporter.refused(unidentified);
  await until('the first attempt', () => tried.length === 1 && clock.pending === 2);
  for (let tries = 2; tries < 6; tries++) {
    reporter.refused(unidentified);
    clock.advance(1000);
    await until('another attempt', () => tried.length === tries && clock.pending > 0);
  }
  world.failure = undefined;
  clock.advance(1000);
  await until('everything is reported', () => tried.at(-1)?.refusals?.number === 2);
  const batches = tried.flatMap(({ refusals }) => refusals ?? []);
  const first = batches.filter(({ number }) => number === 1);
  t.true(first.length >= 3);
  t.true(
    first.every((one) => one === first[0]),
    'unchanged',
  );
  t.is(first[0]!.entries[0]!.count + batches.at(-1)!.entries[0]!.count, 5);
});

test('a stop sends all remaining reports', async (t) => {
  const { clock, reporter, tried } = sending();
  reporter.applied('e', 1, 0);
  await until('the first report', () => tried.length === 1);
  reporter.refused(unidentified);
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
  reporter.refused(unidentified);
  t.is(clock.pending, 0, 'nothing is collected after the stop');
});

test('a report that the service rejects is not repeated, and changes in force are still reported', async (t) => {
  const world = sending();
  const { clock, reporter, tried } = world;
  world.failure = new FlotillaError('request-invalid');
  reporter.refused(unidentified);
  clock.advance(1000);
  reporter.applied('e', 1, 3);
  await until('the first attempt', () => tried.length === 1 && clock.pending > 0);
  t.truthy(tried[0]?.refusals);
  world.failure = undefined;
  clock.advance(1000);
  await until('the rest of the report', () => tried.length === 2);
  t.like(tried[1], { applied: 1, closed: [{ sequence: 1, connections: 3 }] });
  t.is(tried[1]?.refusals, undefined);
});
