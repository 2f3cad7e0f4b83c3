import test from 'ava';
import { IncidentDetector } from '../../../../broker/admission/incident-detector.ts';
import { IncidentHolds } from '../../../../broker/admission/incident-holds.ts';
import {
  IncidentResponse,
  type Reactions,
} from '../../../../broker/admission/incident-response.ts';
import { identityOf } from '../../../support/broker-identity.ts';
import { fakeClock } from '../../../support/fake-clock.ts';

interface Setup {
  readonly response: IncidentResponse;
  readonly holds: IncidentHolds;
  readonly reported: string[];
  readonly enforced: string[];
}

function setup(reactions: Partial<Reactions>): Setup {
  const reported: string[] = [];
  const enforced: string[] = [];
  const holds = new IncidentHolds();
  const response = new IncidentResponse({
    detector: new IncidentDetector(fakeClock(), 1),
    holds,
    directory: { ready: true, graceMs: 0, get: (id) => identityOf(id).entry },
    reactions: { clone: 'log', overlap: 'log', flapping: 'log', ...reactions },
    report: ({ id }, { kind }, reaction) => void reported.push(`${id} ${kind} ${reaction}`),
    enforce: (id) => void enforced.push(id),
  });
  return { response, holds, reported, enforced };
}

test('an incident with the reaction log is reported and causes no hold', (t) => {
  const { response, holds, reported, enforced } = setup({ clone: 'suspend' });
  const dev = identityOf('dev');
  t.deepEqual(
    [1, 2, 3].map(() => response.exceedsConnectRate(dev)),
    [false, true, true],
  );
  t.deepEqual(reported, ['dev flapping log']);
  t.deepEqual([holds.size, enforced], [0, []]);
});

test('each kind of incident has its own reaction and its own code', (t) => {
  const { response, holds, reported, enforced } = setup({ clone: 'suspend' });
  for (const remoteAddress of ['10.0.0.1', '10.0.0.2', '10.0.0.1', '10.0.0.2']) {
    response.connected(identityOf('dev', { remoteAddress }), false);
  }
  t.deepEqual(reported, ['dev clone suspend']);
  t.deepEqual(enforced, ['dev']);
  t.deepEqual(holds.apply('dev', { standing: 'full', notAfterMs: 1 }), { code: 'device-cloned' });
});

test('repeated takeovers of a live session cause the reaction to an overlap', (t) => {
  const { response, holds, reported } = setup({ overlap: 'quarantine' });
  const dev = identityOf('dev');
  response.connected(dev, false);
  for (let n = 0; n < 3; n++) {
    response.connected(dev, true);
  }
  t.deepEqual(reported, ['dev overlap quarantine']);
  t.like(holds.apply('dev', { standing: 'full', notAfterMs: 1 }), { standing: 'quarantined' });
});
