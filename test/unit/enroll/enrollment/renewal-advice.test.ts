import test from 'ava';
import {
  renewalAdvice,
  type RenewalCircumstances,
} from '../../../../enroll/enrollment/renewal-advice.ts';

const dayMs = 86_400_000;
const circumstances: RenewalCircumstances = {
  part: 0.5,
  spread: 0.1,
  renewalPart: 1,
  issuerEndingMs: 100 * dayMs,
  issuerEndMs: 1000 * dayMs,
  currentIssuerEndMs: 1000 * dayMs,
};
const certificate = (start: string, notAfterMs = 100 * dayMs) => ({
  fingerprint: `sha256:${start.padEnd(64, '0')}`,
  notBeforeMs: 0,
  notAfterMs,
});
const dayOf = (start: string, changes: Partial<RenewalCircumstances> = {}): number =>
  renewalAdvice(certificate(start), { ...circumstances, ...changes }).renewAtMs / dayMs;

test('the fingerprint spreads renewals around the configured part of the lifetime', (t) => {
  t.is(dayOf('00000000'), 40);
  t.is(dayOf('80000000'), 50);
  t.true(Math.abs(dayOf('ffffffff') - 60) < 0.001);
  t.is(renewalAdvice(certificate('8'), circumstances).reason, 'lifetime');
});

test('the time is never before the service accepts a renewal', (t) => {
  t.is(dayOf('80000000', { renewalPart: 0.25 }), 75);
  t.is(dayOf('80000000', { renewalPart: 0.9 }), 50);
});

test('certificates of a former issuer that ends soon are renewed before, spread over half of the time', (t) => {
  const ending = { issuerEndMs: 110 * dayMs };
  t.is(dayOf('00000000', { ...ending, currentIssuerEndMs: 9000 * dayMs }), 10);
  t.is(dayOf('80000000', { ...ending, currentIssuerEndMs: 9000 * dayMs }), 35);
  const advice = renewalAdvice(certificate('8'), {
    ...circumstances,
    ...ending,
    currentIssuerEndMs: 9000 * dayMs,
  });
  t.is(advice.reason, 'issuer-ending');
  t.is(dayOf('80000000', { ...ending, currentIssuerEndMs: 110 * dayMs }), 50, 'no newer issuer');
});

test('a certificate of an issuer that is not trusted anymore is due since it began', (t) => {
  const advice = renewalAdvice(certificate('8'), { ...circumstances, issuerEndMs: undefined });
  t.deepEqual(advice, { renewAtMs: 0, reason: 'issuer-withdrawn' });
});
