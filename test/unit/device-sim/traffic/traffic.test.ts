import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import { isFlotillaError } from '../../../../core/errors/flotilla-error.ts';
import { seeded, shuffled } from '../../../../device-sim/plan/seed.ts';
import { unwrap, wrap } from '../../../../device-sim/traffic/envelope.ts';
import { payloadSource } from '../../../../device-sim/traffic/payload.ts';
import { DueQueue, Schedule, type SendRate } from '../../../../device-sim/traffic/schedule.ts';
import { checkPlan } from '../../../../device-sim/plan/read-plan.ts';
import type { PayloadSpec } from '../../../../device-sim/plan/fleet-schema.ts';

const author = { device: 'meter-0007', group: 'meter', number: 7 };

function timesOf(pace: SendRate, seed: string, startMs: number, endMs: number): number[] {
  const schedule = new Schedule(pace, seeded(seed, 'test'), startMs, endMs);
  const times: number[] = [];
  for (let at = schedule.next(); at !== undefined; at = schedule.next()) times.push(at);
  return times;
}

const paces = fc.record({
  intervalMs: fc.integer({ min: 1, max: 5000 }),
  spread: fc.constantFrom('fixed' as const, 'jitter' as const, 'poisson' as const),
  jitter: fc.double({ min: 0, max: 0.5, noNaN: true }),
});

test('the times of a schedule ascend, are within the window, and repeat with the seed', (t) => {
  fc.assert(
    fc.property(paces, fc.string(), fc.integer({ min: 0, max: 60_000 }), (pace, seed, lengthMs) => {
      const times = timesOf(pace, seed, 1000, 1000 + lengthMs);
      t.true(times.every((at, index) => at >= (times[index - 1] ?? 1000) && at < 1000 + lengthMs));
      t.deepEqual(times, timesOf(pace, seed, 1000, 1000 + lengthMs));
    }),
  );
});

test('a fixed or jittered schedule sends exactly at its rate', (t) => {
  for (const spread of ['fixed', 'jitter'] as const) {
    const times = timesOf({ intervalMs: 1000, spread, jitter: 0.4 }, 'a', 5000, 35_000);
    t.is(times.length, 30);
  }
});

test('a Poisson schedule has the right mean rate and deviation', (t) => {
  const times = timesOf({ intervalMs: 100, spread: 'poisson', jitter: 0 }, 'b', 0, 1_000_000);
  t.true(Math.abs(times.length - 10_000) < 400, `${times.length}`);
  const gaps = times.slice(1).map((at, index) => at - times[index]!);
  const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
  const deviation = Math.sqrt(gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / gaps.length);
  t.true(Math.abs(deviation / mean - 1) < 0.05, 'the deviation equals the mean');
});

test('a queue returns due items in order of time', (t) => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 1000 })), (times) => {
      const queue = new DueQueue<number>();
      for (const at of times) queue.push(at, at);
      const early: number[] = [];
      for (let due = queue.takeDue(500); due !== undefined; due = queue.takeDue(500))
        early.push(due.item);
      t.deepEqual(
        early,
        times.filter((at) => at <= 500).toSorted((a, b) => a - b),
      );
      t.is(queue.size, times.length - early.length);
    }),
  );
});

test('random streams of one seed differ by their path and are independent', (t) => {
  const one = seeded('s', 'schedule', 1);
  const two = seeded('s', 'schedule', 2);
  const first = [one.next(), one.next(), one.next()];
  t.notDeepEqual(first, [two.next(), two.next(), two.next()]);
  const again = seeded('s', 'schedule', 1);
  t.deepEqual(first, [again.next(), again.next(), again.next()]);
});

test('random numbers are evenly distributed', (t) => {
  const random = seeded('even');
  const counts = new Array<number>(10).fill(0);
  for (let draw = 0; draw < 100_000; draw++) counts[random.below(10)]!++;
  t.true(
    counts.every((count) => Math.abs(count - 10_000) < 500),
    counts.join(' '),
  );
});

test('shuffling keeps every item and repeats with the seed', (t) => {
  const list = Array.from({ length: 100 }, (_item, index) => index);
  const mixed = shuffled(list, seeded('x'));
  t.notDeepEqual(mixed, list);
  t.deepEqual(
    mixed.toSorted((a, b) => a - b),
    list,
  );
  t.deepEqual(mixed, shuffled(list, seeded('x')));
});

test('an envelope is decoded unchanged, with any body', (t) => {
  fc.assert(
    fc.property(
      fc.record({
        run: fc.constant('00ff00ff'),
        id: fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$/),
        seq: fc.integer({ min: 0, max: 2 ** 31 }),
        atUs: fc.integer({ min: 0, max: 2_000_000_000_000_000 }),
      }),
      fc.oneof(fc.string(), fc.json(), fc.constant('{}'), fc.constant('')),
      (envelope, body) => {
        t.deepEqual(unwrap(Buffer.from(wrap(envelope, body))), envelope);
      },
    ),
  );
});

test('an object with an envelope is one readable JSON object', (t) => {
  const text = wrap({ run: '12345678', id: 'm-1', seq: 3, atUs: 17 }, '{"value":21.5}');
  t.deepEqual(JSON.parse(text), { run: '12345678', id: 'm-1', seq: 3, at: 17, value: 21.5 });
});

test('hostile payloads are not decoded as an envelope', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 500 }), (bytes) => {
      t.is(unwrap(Buffer.from(bytes)), undefined);
    }),
  );
  for (const text of [
    '{"run":"12345678","id":"a/b","seq":1,"at":1}',
    '{"run":"1","id":"a","seq":1,"at":1}',
    '',
  ]) {
    t.is(unwrap(Buffer.from(text)), undefined);
  }
});

function bodies(spec: unknown, seed = 's', count = 5): string[] {
  const plan = checkPlan({
    name: 'p',
    fleet: [{ group: 'g', count: 1, publish: [{ payload: spec }] }],
    phases: [{ phase: 'enroll' }],
  });
  const checked: PayloadSpec = plan.fleet[0]!.publish[0]!.payload;
  const source = payloadSource(checked, author, () => seeded(seed, 'payload'));
  return Array.from({ length: count }, (_item, seq) => source.body(seq, 1_700_000_000_000 + seq));
}

test('a random walk changes, stays within its bounds, and repeats with the seed', (t) => {
  const spec = { kind: 'walk', fields: { v: { start: 9, step: 3, min: 0, max: 10, decimals: 1 } } };
  const walk = bodies(spec, 's', 200).map((body) => (JSON.parse(body) as { v: number }).v);
  t.true(walk.every((value) => value >= 0 && value <= 10));
  t.true(new Set(walk).size > 20);
  t.deepEqual(bodies(spec), bodies(spec));
  t.notDeepEqual(bodies(spec), bodies(spec, 'other'));
});

test('payloads are padded to their size', (t) => {
  t.is(bodies({ kind: 'sequence', bytes: 100 })[0]!.length, 100);
  t.is(bodies({ kind: 'walk', bytes: 300 })[0]!.length, 300);
  t.notThrows(() => JSON.parse(bodies({ kind: 'sequence', bytes: 100 })[0]!) as unknown);
});

test('a template replaces every placeholder and leaves unknown ones unchanged', (t) => {
  const text =
    '{"d":"{{device}}","g":"{{group}}","n":{{n}},"s":{{seq}},"t":{{time}},"i":"{{iso}}","u":"{{uuid}}",' +
    '"a":{{int 1 6}},"f":{{float 2 3 2}},"x":{{gauss 20 0.1 1}},"h":"{{hex 6}}","p":"{{pick on off}}","c":"%c-%i","k":"{{mystery}}"}';
  for (const [seq, body] of bodies({ kind: 'template', text }, 's', 50).entries()) {
    const value = JSON.parse(body) as Record<string, string | number>;
    t.like(value, {
      d: 'meter-0007',
      g: 'meter',
      n: 7,
      s: seq,
      t: 1_700_000_000_000 + seq,
      c: 'meter-0007-7',
      k: '{{mystery}}',
    });
    t.regex(
      String(value['u']),
      /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
    );
    t.true([1, 2, 3, 4, 5, 6].includes(Number(value['a'])));
    t.true(Number(value['f']) >= 2 && Number(value['f']) <= 3);
    t.regex(String(value['h']), /^[0-9a-f]{6}$/);
    t.true(['on', 'off'].includes(String(value['p'])));
  }
});

test('a CSV file with quotes is replayed row by row as JSON, and repeated at its end', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'flotilla-sim-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const file = join(folder, 'rows.csv');
  await writeFile(file, 'temp,place,on\r\n1.5,"a, ""b""",true\n2,"line\nbreak",false\n');
  const rows = bodies({ kind: 'replay', file }, 's', 4);
  t.deepEqual([...new Set(rows)].toSorted(), [
    '{"temp":1.5,"place":"a, \\"b\\"","on":true}',
    '{"temp":2,"place":"line\\nbreak","on":false}',
  ]);
  t.is(rows[0], rows[2]);
});

test('a missing replay file is an error with its path', (t) => {
  const error = t.throws(() => bodies({ kind: 'replay', file: '/nowhere.csv' }));
  t.true(isFlotillaError(error, 'sim-replay-unreadable'));
  t.regex(error.message, /nowhere\.csv/);
});
