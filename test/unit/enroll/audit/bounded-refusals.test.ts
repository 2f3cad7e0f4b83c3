import test from 'ava';
import { silentLog } from '../../../../core/log.ts';
import type { AuditEvent } from '../../../../enroll/audit/audit-event.ts';
import { BoundedRefusals } from '../../../../enroll/audit/bounded-refusals.ts';
import { fakeClock } from '../../../support/fake-clock.ts';

test('one source gets a tenth of the lines of a minute, and the rest is one sum per reason', async (t) => {
  const clock = fakeClock();
  const lines: AuditEvent[] = [];
  const refusals = new BoundedRefusals({
    audit: { append: (...events) => (lines.push(...events), Promise.resolve()) },
    clock,
    log: silentLog,
    linesPerMinute: 100,
  });
  const refuse = (remoteAddress: string, code: string): Promise<void> =>
    refusals.append({
      action: 'renewal-refused',
      actor: 'd1',
      device: 'd1',
      remoteAddress,
      detail: { code },
    });
  for (let at = 0; at < 500; at++) await refuse('10.0.0.1', 'renewal-too-early');
  t.is(lines.length, 10);
  await refuse('10.0.0.2', 'key-in-use');
  t.is(lines.length, 11, 'others have lines');
  clock.advance(60_001);
  await refusals.close();
  t.deepEqual(lines.at(-1)?.detail, { code: 'renewal-too-early', count: 490, rest: true });
  t.is(lines.length, 12);
});
