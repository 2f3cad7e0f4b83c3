import test from 'ava';
import { RenewalAgent } from '../../../../cli/lib/renewal-agent.ts';
import type { RenewalCheck } from '../../../../cli/lib/renewal-check.ts';
import { renewalTimeMs, retryDelayMs } from '../../../../cli/lib/renewal-schedule.ts';
import { FlotillaError } from '../../../../core/errors/flotilla-error.ts';
import { fakeClock, fakeStartMs, type FakeClock } from '../../../support/fake-clock.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;
const year = { notBeforeMs: fakeStartMs, notAfterMs: fakeStartMs + 365 * dayMs };

const fingerprint = (start: string): string => `sha256:${start.padEnd(64, '0')}`;

test('renewals are due around two thirds of the lifetime, spread by the fingerprint', (t) => {
  const partOf = (start: string): number =>
    (renewalTimeMs({ ...year, fingerprint: fingerprint(start) }) - fakeStartMs) / (365 * dayMs);
  t.true(Math.abs(partOf('00000000') - (2 / 3 - 0.05)) < 1e-6);
  t.true(Math.abs(partOf('80000000') - 2 / 3) < 1e-6);
  t.true(Math.abs(partOf('ffffffff') - (2 / 3 + 0.05)) < 1e-6);
  t.is(partOf('12345678'), partOf('12345678'));
});

test('retries wait longer each time, up to six hours or a twentieth of the lifetime', (t) => {
  const delays = [1, 2, 3, 9, 10, 1000].map((failures) => retryDelayMs(failures, year, 0));
  t.deepEqual(
    delays,
    [1, 2, 4, 256, 360, 360].map((minutes) => minutes * minuteMs),
  );
  t.is(retryDelayMs(3, year, 1), 2 * minuteMs, 'up to a half earlier');
  t.is(retryDelayMs(1000, undefined, 0), 6 * hourMs);
  const hour = { notBeforeMs: fakeStartMs, notAfterMs: fakeStartMs + hourMs };
  t.is(retryDelayMs(9, hour, 0), 3 * minuteMs);
});

interface World {
  readonly clock: FakeClock;
  readonly agent: RenewalAgent;
  readonly checkedAtMs: number[];
  readonly log: string[];
  readonly ended: Promise<void>;
  /** Advances to the next check, and waits until it is complete. */
  readonly next: (ms: number) => Promise<void>;
}

/** An agent whose first check has been made. */
async function world(
  check: (nowMs: number) => RenewalCheck,
  hook: () => void = () => undefined,
): Promise<World> {
  const clock = fakeClock();
  const checkedAtMs: number[] = [];
  const log: string[] = [];
  const agent = new RenewalAgent({
    clock,
    random: () => 0,
    check(nowMs) {
      checkedAtMs.push(nowMs - fakeStartMs);
      return Promise.resolve().then(() => check(nowMs));
    },
    hook: () => Promise.resolve().then(hook),
    report: ({ renewed }) => void log.push(renewed ? 'renewed' : 'checked'),
    failed: (error) => void log.push(error instanceof FlotillaError ? error.code : String(error)),
  });
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  const ended = agent.run();
  await settle();
  return {
    ...{ clock, agent, checkedAtMs, log, ended },
    async next(ms) {
      clock.advance(ms);
      await settle();
    },
  };
}

const fresh = (nowMs: number, renewed = false): RenewalCheck => ({
  ...{ device: 'a', renewed, ...year, isDeferred: false, isHookDue: renewed },
  nextCheckAtMs: nowMs + 240 * dayMs,
});

test('an outage of days does not end the agent; it renews when the service returns', async (t) => {
  const outageMs = 5 * dayMs;
  const { agent, ended, next, log, checkedAtMs, clock } = await world((nowMs) => {
    if (nowMs < fakeStartMs + outageMs) throw new FlotillaError('service-unreachable');
    return fresh(nowMs, true);
  });
  for (let hours = 0; hours < 5 * 24 + 6; hours++) await next(hourMs);
  const attempts = checkedAtMs.filter((atMs) => atMs < outageMs).length;
  t.true(attempts > 20 && attempts < 40, `${attempts} attempts`);
  t.true(log.slice(0, attempts).every((line) => line === 'service-unreachable'));
  t.is(log[attempts], 'renewed');
  agent.stop();
  await ended;
  t.is(clock.pending, 0);
});

test('the hook runs after a renewal, and again until it succeeds', async (t) => {
  let checks = 0;
  let runs = 0;
  const { agent, ended, next, log } = await world(
    (nowMs) => ({ ...fresh(nowMs, ++checks === 1), isHookDue: runs < 3 }),
    () => {
      if (++runs < 3) throw new FlotillaError('renewal-hook-failed');
    },
  );
  await next(minuteMs);
  await next(2 * minuteMs);
  t.is(runs, 3);
  await next(hourMs);
  t.is(runs, 3);
  t.deepEqual(log.slice(0, 2), ['renewed', 'renewal-hook-failed']);
  agent.stop();
  await ended;
});

test('the folder is read every hour; a time that the service names is respected for up to a day', async (t) => {
  const untilMs = fakeStartMs + 30 * dayMs;
  let isDeferred = false;
  const { agent, ended, next, checkedAtMs, log } = await world((nowMs) => ({
    ...fresh(nowMs),
    nextCheckAtMs: untilMs,
    isDeferred,
  }));
  isDeferred = true;
  await next(hourMs);
  await next(23 * hourMs);
  t.deepEqual(checkedAtMs, [0, hourMs]);
  await next(hourMs);
  t.deepEqual(checkedAtMs, [0, hourMs, 25 * hourMs]);
  t.deepEqual(log, ['checked'], 'reported once');
  agent.stop();
  await ended;
});
