import test from 'ava';
import { IncidentHolds } from '../../../../broker/admission/incident-holds.ts';
import { identityOf } from '../../../support/broker-identity.ts';

test('a hold ends when the directory has applied and then lifted a restriction', (t) => {
  const holds = new IncidentHolds();
  const { entry } = identityOf('dev');
  const good = { standing: 'full', notAfterMs: 1 } as const;
  holds.add('dev', 'quarantine', 'device-cloned', entry);
  t.deepEqual(holds.apply('dev', good), { standing: 'quarantined', notAfterMs: 1 });
  t.deepEqual(holds.apply('other', good), good);
  holds.sync({ ...entry, group: 'x' }, 'dev');
  t.is(holds.size, 1, 'an unrelated change');
  holds.sync({ ...entry, status: 'quarantined' }, 'dev');
  holds.sync(entry, 'dev');
  t.deepEqual(holds.apply('dev', good), good);
  holds.add('dev', 'suspend', 'device-cloned', entry);
  t.deepEqual(holds.apply('dev', good), { code: 'device-cloned' });
  t.deepEqual(holds.apply('dev', { code: 'device-revoked' }), { code: 'device-revoked' });
});

test('a hold of an identity that is already restricted ends when the directory lifts the restriction', (t) => {
  const holds = new IncidentHolds();
  const { entry } = identityOf('dev');
  holds.add('dev', 'quarantine', 'device-cloned', { ...entry, status: 'quarantined' });
  holds.sync(entry, 'dev');
  t.is(holds.size, 0);
  holds.add('dev', 'quarantine', 'device-cloned', entry);
  holds.sync(entry, 'dev');
  t.is(holds.size, 1, 'the directory has not applied it yet');
});
