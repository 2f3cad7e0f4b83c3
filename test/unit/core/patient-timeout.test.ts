import test from 'ava';
import { patientTimeout } from '../../../core/patient-timeout.ts';
import { fakeClock } from '../../support/fake-clock.ts';

test('it fires after its time, and not when it is canceled', (t) => {
  const clock = fakeClock();
  let fired = 0;
  patientTimeout(clock, 100, () => fired++);
  const cancel = patientTimeout(clock, 100, () => fired++);
  clock.advance(99);
  t.is(fired, 0);
  cancel();
  clock.advance(1);
  t.is(fired, 1);
  t.is(clock.pending, 0);
});

test('after a pause of the process it waits as long again, at most its time', (t) => {
  const clock = fakeClock();
  let fired = 0;
  patientTimeout(clock, 10_000, () => fired++);
  clock.pause(12_000);
  clock.advance(0);
  clock.advance(1999);
  t.is(fired, 0, 'late by two seconds, so it waits for two more');
  clock.advance(1);
  t.is(fired, 1);
  const cancel = patientTimeout(clock, 10_000, () => fired++);
  clock.pause(3_600_000);
  clock.advance(0);
  clock.advance(9999);
  t.is(fired, 1);
  cancel();
  clock.advance(1_000_000);
  t.is(fired, 1, 'it can be canceled while it waits again');
});
