import test from 'ava';
import { parsePlan } from '../../../device-sim/plan/read-plan.ts';
import { rosterOf } from '../../../device-sim/fleet/roster.ts';
import { seeded, shuffled } from '../../../device-sim/plan/seed.ts';
import { streamsOf } from '../../../device-sim/traffic/stream.ts';

const plan = parsePlan(`
name: same
fleet:
  - group: a
    count: 4
    publish:
      - { rate: 3, spread: poisson, payload: { kind: walk } }
      - { rate: 1, spread: jitter, topic: 'x/{device}', payload: { kind: template, text: '{{uuid}} {{gauss 5 2}}' } }
  - { group: b, count: 2, publish: [{ rate: 2 }] }
phases: [{ phase: steady, duration: 30s }]
`);

/** All scheduled messages of a fleet in one phase: time, topic and body. */
function traffic(
  seed: string,
  phase = 'steady',
  order: (numbers: number[]) => number[] = (numbers) => numbers,
): string[] {
  const roster = rosterOf(plan, seed);
  const lines: string[] = [];
  for (const number of order(roster.numbersOf())) {
    const window = { seed, phase, startMs: 0, endMs: 30_000, factor: 1 };
    for (const { topic, schedule, source } of streamsOf(
      roster.authorOf(number),
      roster.groupOf(number),
      window,
    )) {
      let seq = 0;
      for (let at = schedule.next(); at !== undefined; at = schedule.next()) {
        lines.push(`${at} ${topic} ${source.body(seq++, at)}`);
      }
    }
  }
  return lines.toSorted();
}

test('the same plan and seed give the same messages at the same times', (t) => {
  const lines = traffic('42');
  t.true(lines.length > 600);
  t.deepEqual(lines, traffic('42'));
});

test('the messages of a device do not depend on other devices or on its worker', (t) => {
  t.deepEqual(
    traffic('42'),
    traffic('42', 'steady', (numbers) => numbers.toReversed()),
  );
});

test('another seed or another phase gives other messages', (t) => {
  const lines = new Set(traffic('42'));
  for (const other of [traffic('43'), traffic('42', 'steady-2')]) {
    const same = other.filter((line) => lines.has(line)).length;
    t.true(same < 3, `${same} of ${other.length} are the same`);
  }
});

test('the order of devices depends only on the seed', (t) => {
  const order = (seed: string): number[] =>
    shuffled(rosterOf(plan, seed).numbersOf(), seeded(seed, 'enroll-order', 'enroll'));
  t.deepEqual(order('42'), order('42'));
  t.notDeepEqual(order('42'), order('44'));
});
