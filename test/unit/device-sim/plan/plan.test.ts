import { readFile } from 'node:fs/promises';
import test from 'ava';
import { isFlotillaError } from '../../../../core/errors/flotilla-error.ts';
import { phasesOf } from '../../../../device-sim/plan/phase-names.ts';
import { parsePlan, planJsonSchema, quickPlan } from '../../../../device-sim/plan/read-plan.ts';
import { settleAccount } from '../../../../device-sim/controller/accounting.ts';
import { reportOf } from '../../../../device-sim/controller/verdict.ts';
import { RunStats } from '../../../../device-sim/stats/run-stats.ts';
import { commentedPlan } from '../../../../device-sim/plan/commented-plan.ts';
import { runFigures } from '../../../../device-sim/plan/figures.ts';
import { judgeThreshold, parseComparison } from '../../../../device-sim/plan/threshold.ts';
import { filterFor, rosterOf, topicFor } from '../../../../device-sim/fleet/roster.ts';

const good = `name: small
fleet:
  - group: meters
    count: 3
    publish:
      - { rate: 1/10s, qos: 1 }
phases:
  - phase: steady
    duration: 3s
`;

function faultOf(text: string): string {
  try {
    parsePlan(text, 'a.yaml');
  } catch (error) {
    if (isFlotillaError(error)) return `${error.code} ${error.detail ?? ''}`;
    throw error;
  }
  return 'no fault';
}

test('a plan is parsed with durations in ms, rates per second, and defaults', (t) => {
  const plan = parsePlan(good);
  t.like(plan.fleet[0], { count: 3, client: 'mqttjs', keepAlive: 60_000, session: 'clean' });
  t.like(plan.fleet[0]!.publish[0], { rate: 0.1, topic: 'devices/{device}/telemetry' });
  t.like(plan.phases[0], { duration: 3000 });
});

test('rates can be written in several ways', (t) => {
  for (const [text, perSecond] of [
    ['5/s', 5],
    ['30/m', 0.5],
    ['1/10s', 0.1],
    ['36/h', 0.01],
    ['2.5', 2.5],
  ] as const) {
    t.is(parsePlan(good.replace('1/10s', text)).fleet[0]!.publish[0]!.rate, perSecond, text);
  }
});

test('each fault in a plan is reported with line and column', (t) => {
  const cases: [string, string, RegExp][] = [
    ['count: 3', 'count: -3', /plan-invalid a\.yaml:4:12: fleet\.0\.count/],
    [
      'count: 3',
      'cuont: 3',
      /a\.yaml:4:5: fleet\.0\.cuont: unknown setting cuont; did you mean count\?/,
    ],
    ['duration: 3s', 'duration: 3 s', /a\.yaml:9:15: phases\.0\.duration: not a duration/],
    ['phase: steady', 'phase: stedy', /a\.yaml:8:12: phases\.0\.phase: /],
    ['qos: 1', 'qos: 3', /a\.yaml:6:29: fleet\.0\.publish\.0\.qos/],
    ['rate: 1/10s', 'rate: often', /a\.yaml:6:17: fleet\.0\.publish\.0\.rate: not a rate/],
    [
      'name: small',
      'name: small\nname: two',
      /plan-unreadable a\.yaml:2:1: Map keys must be unique/,
    ],
    ['count: 3', 'count: [', /plan-unreadable a\.yaml:\d+:\d+: /],
    [
      'duration: 3s',
      'duration: 3s\n    groups: [pumps]',
      /a\.yaml:10:13: phases\.0\.groups: there is no group pumps/,
    ],
    [
      'phases:',
      'thresholds: [messages.lost is 0]\nphases:',
      /a\.yaml:7:14: thresholds\.0: not a threshold/,
    ],
    [
      'phases:',
      'thresholds:\n  - messages.lost <= 0\n  - mesages.lost <= 0\nphases:',
      /a\.yaml:9:5: thresholds\.1: there is no figure mesages\.lost; did you mean messages\.lost\?/,
    ],
    [
      'phases:',
      'thresholds: [phases.storm.figures.lastBackMs <= 5s]\nphases:',
      /a\.yaml:7:14: thresholds\.0: this plan has no phase storm/,
    ],
    [
      'phases:',
      'thresholds: [phases.steady.figures.lastBackMs <= 5s]\nphases:',
      /a\.yaml:7:14: thresholds\.0: there is no figure figures\.lastBackMs/,
    ],
  ];
  for (const [part, broken, expected] of cases) {
    t.true(good.includes(part));
    t.regex(faultOf(good.replace(part, broken)), expected, broken);
  }
});

test('an empty text, a list and exponentially nested aliases are rejected', (t) => {
  t.regex(faultOf(''), /^plan-invalid/);
  t.regex(faultOf('- 1'), /^plan-invalid/);
  const bomb = ['a: &a [x,x,x,x,x,x,x,x,x]'];
  for (const [from, to] of ['ab', 'bc', 'cd', 'de', 'ef', 'fg'].map((pair) => [
    pair[0]!,
    pair[1]!,
  ])) {
    bomb.push(`${to!}: &${to!} [${new Array<string>(9).fill(`*${from!}`).join(',')}]`);
  }
  t.regex(faultOf(bomb.join('\n')), /^plan-unreadable/);
});

test('repeated phases get numbered names', (t) => {
  const plan = parsePlan(
    `${good}  - phase: steady\n    duration: 1s\n  - parallel:\n      - { phase: burst, duration: 1s, name: loud }\n      - { phase: steady, duration: 1s }\n`,
  );
  t.deepEqual(
    phasesOf(plan).map(({ name, step }) => `${step} ${name}`),
    ['0 steady', '1 steady-2', '2 loud', '2 steady-3'],
  );
});

test('the quick plan allows no lost and no misdelivered message', (t) => {
  const plan = quickPlan({ devices: 1000, durationMs: 30_000, ratePerSecond: 1, qos: 1 });
  t.deepEqual(plan.thresholds, [
    'devices.failed <= 0',
    'messages.lost <= 0',
    'messages.misdelivered <= 0',
  ]);
  t.regex(plan.seed ?? '', /^[0-9a-f]{8}$/);
  t.false(
    quickPlan({ devices: 1, durationMs: 1000, ratePerSecond: 1, qos: 0 }).thresholds?.includes(
      'messages.lost <= 0',
    ),
  );
  t.throws(() => quickPlan({ devices: 0, durationMs: 1000, ratePerSecond: 1, qos: 1 }));
});

test('the published JSON Schema matches the schema that plans are checked with', async (t) => {
  const path = new URL('../../../../docs/plan.schema.json', import.meta.url);
  t.deepEqual(
    JSON.parse(await readFile(path, 'utf8')),
    planJsonSchema(),
    "run: node -e \"import('./device-sim/plan/read-plan.ts').then(m=>process.stdout.write(JSON.stringify(m.planJsonSchema(),null,2)+'\\n'))\" > docs/plan.schema.json",
  );
});

test('the commented plan that sim init writes is a valid plan', (t) => {
  const plan = parsePlan(commentedPlan);
  t.true(plan.phases.length >= 3);
  t.true(commentedPlan.split('\n').filter((line) => line.includes('#')).length > 15);
});

test('a threshold can name every figure of a report, and nothing else', (t) => {
  const plan = parsePlan(good);
  const stats = new RunStats(0, () => undefined);
  const report = reportOf({
    plan,
    seed: '1',
    run: '00000000',
    startedAtMs: 0,
    durationMs: 1,
    stats,
    fleet: {
      retired: new Set(),
      failed: new Map(),
      joined: new Set(),
      keys: new Set(),
      enrolled: 0,
    },
    planned: 3,
    account: settleAccount([], [], stats.totals),
    phases: [],
    brokerAddress: 'localhost:8883',
    workers: 1,
    idleRssBytes: 0,
    peakOnline: { devices: 0, rssBytes: 0 },
    aborted: false,
    failure: null,
    notes: [],
  });
  // These keys are results, or identify the report.
  const { ok, aborted, version, failure, thresholds, phases, series, errors, notes, ...facts } =
    report;
  t.deepEqual(
    [typeof ok, aborted, version, failure, series.length],
    ['boolean', false, 1, null, 0],
  );
  t.deepEqual([phases, notes, errors], [[], [], {}]);
  t.true(thresholds.length > 0);
  const leaves = (value: unknown, path: string): string[] =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.entries(value).flatMap(([key, inner]) =>
          leaves(inner, path === '' ? key : `${path}.${key}`),
        )
      : typeof value === 'string' || Array.isArray(value)
        ? []
        : [path];
  t.deepEqual(leaves(facts, '').toSorted(), [...runFigures].toSorted());
});

test('thresholds compare figures of the report, with phases by name and durations in ms', (t) => {
  const report = {
    messages: { lost: 0 },
    ok: true,
    phases: [{ name: 'storm', figures: { lastBackMs: 4200 } }],
    latencyMs: { endToEnd: { p99: 12.5 } },
  };
  const verdict = (text: string): boolean => judgeThreshold(parseComparison(text)!, report).ok;
  t.true(verdict('messages.lost <= 0'));
  t.true(verdict('messages.lost == 0'));
  t.true(verdict('latencyMs.endToEnd.p99 < 13ms'));
  t.false(verdict('latencyMs.endToEnd.p99 > 1s'));
  t.true(verdict('phases.storm.figures.lastBackMs <= 5s'));
  t.true(verdict('ok >= 1'));
  t.deepEqual(judgeThreshold(parseComparison('nothing.here <= 5')!, report), {
    name: 'nothing.here',
    limit: '<= 5',
    value: null,
    ok: false,
  });
  t.is(judgeThreshold(parseComparison('constructor.name <= 5')!, report).value, null);
});

test('every device of a fleet has a unique id and is found by it', (t) => {
  const plan = parsePlan(
    good.replace('phases:', '  - group: pumps\n    count: 12000\n    id: "p-{seed}-{n}"\nphases:'),
  );
  const roster = rosterOf(plan, '42');
  t.is(roster.size, 12_003);
  t.deepEqual(
    [0, 3, 12_002].map<string>((number) => roster.idOf(number)),
    ['meters-0001', 'p-42-00001', 'p-42-12000'],
  );
  for (const number of [0, 2, 3, 12_002]) t.is(roster.numberOf(roster.idOf(number)), number);
  t.is(roster.numbersOf(['pumps']).length, 12_000);
  t.throws(() => rosterOf(parsePlan(good.replace('count: 3', 'count: 3\n    id: "a/{n}"')), '1'), {
    message: /not a valid device id/,
  });
});

test('topic templates are filled for a device and made a filter for an observer', (t) => {
  const author = { device: 'm-1', group: 'g', number: 4 };
  t.is(topicFor('devices/{device}/x/{group}/{n}', author), 'devices/m-1/x/g/4');
  t.is(topicFor('a/%c/%i', author), 'a/m-1/4');
  t.is(filterFor('devices/{device}/x/{group}-{n}'), 'devices/+/x/+');
});
