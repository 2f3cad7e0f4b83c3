/**
 * A stolen key that is used at the same time as its device: detected by the real broker, and recorded by
 * the real enrollment service.
 *
 * @module
 */
import test from 'ava';
import type { MqttClient } from 'mqtt';
import type { AuditLine } from '../../enroll/audit/audit-event.ts';
import { ended, subscribe } from '../support/broker-world.ts';
import { fleetWorld, type FleetWorld, type Shown } from '../support/fleet-world.ts';
import { until } from '../support/until.ts';

const [here, there] = ['127.20.0.1', '127.20.0.2'];

/** Connects with one certificate from two addresses until it is a clone. Returns the last connection. */
async function connectAsClone(world: FleetWorld, shown: Shown): Promise<MqttClient> {
  const options = { clientId: 'pump-7' };
  for (const from of [here, there, here]) await world.mqtt(shown, options, from);
  return world.mqtt(shown, options, there);
}

/** The audit line of the suspension by the service. */
function suspendedLine(world: FleetWorld): Promise<AuditLine> {
  return until('the audit line', async () =>
    (await world.audit()).find(({ action }) => action === 'device-suspended'),
  );
}

async function statusOf(world: FleetWorld): Promise<unknown> {
  return (await world.enroll.asAdmin('GET', '/v1/devices/pump-7')).body['status'];
}

test('a clone is suspended permanently: its connection is closed, the registry stores it, a restart does not change it', async (t) => {
  const world = await fleetWorld(t, { config: { broker: { cloneReaction: 'suspend' } } });
  const shown = await world.device('pump-7');
  const bystander = await world.mqtt(await world.device('pump-8'), { clientId: 'pump-8' });
  await ended(await connectAsClone(world, shown));
  const closed = world.capture.lines.filter(({ msg }) => msg === 'connection closed').at(-1);
  t.like(closed, { device: 'pump-7', code: 'device-cloned' });

  const line = await suspendedLine(world);
  t.like(line, { actor: 'broker', device: 'pump-7' });
  t.like(line.detail, { kind: 'clone', reaction: 'suspend', status: 'suspended' });
  t.is(line.detail?.['addresses'], `${here} ${there}`);
  t.regex(String(line.detail?.['serial']), /^[0-9a-f]+$/);
  t.is(await statusOf(world), 'suspended');
  await world.inForce('pump-7', ({ status }) => status === 'suspended');
  t.is(await world.metric('flotilla_incidents_total', { kind: 'clone' }), 1);
  t.true(bystander.connected);

  await world.restartBroker();
  await t.throwsAsync(world.mqtt(shown, { clientId: 'pump-7' }, here));
  const refused = await until('the refusal', async () =>
    (await world.audit()).find(({ action }) => action === 'access-refused'),
  );
  t.like(refused, { device: 'pump-7', remoteAddress: here });
  t.is(refused.detail?.['code'], 'device-suspended');

  await world.enroll.asAdmin('POST', '/v1/devices/pump-7/resume', {});
  await world.inForce('pump-7', ({ status }) => status === 'active');
  t.true((await world.mqtt(shown, { clientId: 'pump-7' }, here)).connected);
});

test('a clone is quarantined: it stays connected without permissions, also after a restart, until an operator resumes it', async (t) => {
  const world = await fleetWorld(t, { config: { broker: { cloneReaction: 'quarantine' } } });
  const shown = await world.device('pump-7');
  const last = await connectAsClone(world, shown);
  const line = await suspendedLine(world);
  t.like(line.detail, { kind: 'clone', reaction: 'quarantine', status: 'quarantined' });
  await world.inForce('pump-7', ({ status }) => status === 'quarantined');
  t.is(await statusOf(world), 'quarantined');
  t.deepEqual(await subscribe(last, ['devices/pump-7/#']), [128]);
  t.true(last.connected);

  await world.restartBroker();
  const again = await world.mqtt(shown, { clientId: 'pump-7' }, here);
  t.deepEqual(await subscribe(again, ['devices/pump-7/#']), [128]);
  const refused = await until('the refusal', async () =>
    (await world.audit()).findLast(({ action }) => action === 'access-refused'),
  );
  t.like(refused, { device: 'pump-7' });
  t.like(refused.detail, { stage: 'subscribe', topic: 'devices/pump-7/#' });

  await world.enroll.asAdmin('POST', '/v1/devices/pump-7/resume', {});
  await world.inForce('pump-7', ({ status }) => status === 'active');
  await until(
    'the operator resumed it',
    async () => (await subscribe(again, ['devices/pump-7/#']))[0] === 0,
  );
  again.publish('devices/pump-8/x', '');
  await ended(again);
});
