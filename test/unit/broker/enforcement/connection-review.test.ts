import test from 'ava';
import type { Connection } from '../../../../broker/contracts/session-layer.ts';
import { ConnectionExpiry } from '../../../../broker/enforcement/connection-expiry.ts';
import { ConnectionReview } from '../../../../broker/enforcement/connection-review.ts';
import { IncidentHolds } from '../../../../broker/admission/incident-holds.ts';
import { turnMaxMs } from '../../../../core/work-turns.ts';
import { identityOf } from '../../../support/broker-identity.ts';
import { fakeClock } from '../../../support/fake-clock.ts';

/** Connections whose reauthorization takes a whole turn each. */
function slowReview(count: number): { review: ConnectionReview; seen: string[]; closed: string[] } {
  const seen: string[] = [];
  const closed: string[] = [];
  const connections = Array.from({ length: count }, (_, n): Connection => {
    const id = `d${n}`;
    return {
      identity: identityOf(id),
      clientId: id,
      protocolVersion: 4,
      connectedAtMs: 0,
      reauthorize: () => {
        const endMs = performance.now() + turnMaxMs;
        while (performance.now() < endMs);
        seen.push(id);
        setImmediate(() => seen.push('other work'));
      },
      close: (code) => closed.push(`${id} ${code}`),
    };
  });
  const clock = fakeClock();
  const review = new ConnectionReview({
    clock,
    directory: { ready: true, graceMs: 0, get: () => undefined },
    layer: { connections: () => connections, connectionsOf: () => [] },
    authorizer: { connect: () => ({ allowed: true, rule: 'test' }) },
    expiry: new ConnectionExpiry(clock, { graceMs: 0 }, 0),
    holds: new IncidentHolds(),
    material: { authorities: [] },
  });
  return { review, seen, closed };
}

test('a new policy is applied to the connections in turns of the event loop', async (t) => {
  const { review, seen } = slowReview(4);
  await review.policy();
  t.deepEqual(
    seen.filter((one) => one !== 'other work'),
    ['d0', 'd1', 'd2', 'd3'],
  );
  t.true(seen.indexOf('other work') < seen.indexOf('d2'), 'other work does not wait for all');
});

test('the review for a policy stops when another one is in force', async (t) => {
  const { review, seen } = slowReview(4);
  const first = review.policy();
  await review.policy();
  await first;
  t.true(seen.filter((one) => one !== 'other work').length <= 6);
});

test('a snapshot is applied to all connections, and says how many it closed', async (t) => {
  const { review, closed } = slowReview(3);
  t.is(await review.all(), 3);
  t.deepEqual(closed, ['d0 device-removed', 'd1 device-removed', 'd2 device-removed']);
});
