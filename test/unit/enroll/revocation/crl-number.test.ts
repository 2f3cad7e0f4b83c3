import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { textFile } from '../../../../core/stored-text.ts';
import { CrlNumber } from '../../../../enroll/revocation/crl-number.ts';
import { fakeClock } from '../../../support/fake-clock.ts';
import { tempFolder } from '../../../support/temp-folder.ts';

test('numbers are the time where possible, and always grow', async (t) => {
  const clock = fakeClock();
  const numbers = new CrlNumber(textFile(join(tempFolder(t), 'crl-number')), clock);
  const first = await numbers.next();
  t.is(first, clock.now());
  t.is(await numbers.next(), first + 1);
  clock.advance(90_000_000);
  t.is(await numbers.next(), clock.now());
});

test('numbers grow over a restart although the clock was set back', async (t) => {
  const path = join(tempFolder(t), 'crl-number');
  const ahead = fakeClock(Date.UTC(2030, 0, 1));
  const before = new CrlNumber(textFile(path), ahead);
  await before.next();
  const last = await before.next();
  const again = new CrlNumber(textFile(path), fakeClock(Date.UTC(2029, 0, 1)));
  const first = await again.next();
  t.true(first > last);
  t.is(await again.next(), first + 1);
});

test('a damaged file is replaced', async (t) => {
  const path = join(tempFolder(t), 'crl-number');
  writeFileSync(path, 'x');
  const clock = fakeClock();
  t.is(await new CrlNumber(textFile(path), clock).next(), clock.now());
});
