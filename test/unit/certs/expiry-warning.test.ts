/** When `flotilla status` warns about a certificate that will expire. @module */
import test from 'ava';
import { checkExpiry } from '../../../certs/expiry-warning.ts';

const dayMs = 86_400_000;

const cases: readonly [what: string, isCa: boolean, lifetime: number, left: number, ok: boolean][] =
  [
    ['a CA certificate', true, 4383, 181, true],
    ['a CA certificate', true, 4383, 180, false],
    ['a device certificate', false, 365, 15, true],
    ['a device certificate', false, 365, 14, false],
    ['a short-lived certificate', false, 6, 2, true],
    ['a short-lived certificate', false, 6, 1, false],
    ['an expired certificate', false, 365, -1, false],
  ];
for (const [what, isCa, lifetime, left, ok] of cases) {
  test(`${what} of ${lifetime} days with ${left} days left ${ok ? 'gives no' : 'gives a'} warning`, (t) => {
    const nowMs = 1_800_000_000_000;
    const notAfterMs = nowMs + left * dayMs;
    const certificate = { isCa, notBeforeMs: notAfterMs - lifetime * dayMs, notAfterMs };
    t.deepEqual(checkExpiry(certificate, nowMs), { ok, detail: `${left} days left` });
  });
}
