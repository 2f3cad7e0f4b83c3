/** A broker whose claims are answered later, as those of brokers that share their sessions: with and without fronts. */
import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';
import type { MqttClient } from 'mqtt';
import { brokerWorld } from '../support/broker-world.ts';
import { ClaimAuthority } from '../support/claim-authority.ts';
import { until } from '../support/until.ts';

interface Presence {
  readonly status: string;
  readonly version: number;
}

/** Every message that a client gets, by topic. */
function messagesOf(client: MqttClient): { topic: string; payload: string }[] {
  const messages: { topic: string; payload: string }[] = [];
  client.on('message', (topic, payload) => void messages.push({ topic, payload: String(payload) }));
  return messages;
}

for (const fronts of [0, 1]) {
  const mode = fronts === 0 ? 'one thread' : 'a front';

  test(`with ${mode}: wills, presence and takeovers are right when claims are answered later`, async (t) => {
    const authority = new ClaimAuthority();
    const world = await brokerWorld(t, {
      config: { broker: { fronts } },
      claims: authority.join('broker-1'),
    });
    const backend = await world.mqtt(world.device('backend', { role: 'service' }), {
      clientId: 'backend',
    });
    const seen = messagesOf(backend);
    await backend.subscribeAsync(['devices/d/gone', '$fleet/presence/d', '$fleet/incidents'], {
      qos: 1,
    });
    const presence = (): Presence[] =>
      seen
        .filter(({ topic }) => topic === '$fleet/presence/d')
        .map(({ payload }) => JSON.parse(payload) as Presence);
    const device = world.device('d');
    const payload = Buffer.from('x'.repeat(5000));
    const options = {
      clientId: 'd',
      will: { topic: 'devices/d/gone', payload, qos: 1, retain: false },
    } as const;
    authority.holds = true;
    const connecting = world.mqtt(device, options);
    await until('it waits', () => authority.held.length === 1);
    await backend.publishAsync('devices/x/commands/y', '', { qos: 1 });
    t.deepEqual(presence(), []);
    authority.holds = false;
    authority.answer();
    let client = await connecting;
    for (let takeovers = 0; takeovers < 3; takeovers++) {
      const former = client;
      const closed = new Promise<void>((resolve) => former.once('close', () => resolve()));
      client = await world.mqtt(device, options);
      await closed;
    }
    await until('the incident is reported', () =>
      seen.some(
        ({ topic, payload }) => topic === '$fleet/incidents' && payload.includes('overlap'),
      ),
    );
    t.true(presence().every(({ status }) => status === 'online'));
    client.stream.destroy();
    await until('it is offline', () => presence().at(-1)?.status === 'offline');
    const versions = presence().map(({ version }) => version);
    t.deepEqual(
      versions,
      versions.toSorted((one, other) => one - other),
    );
    await until(
      'the wills arrived',
      () => seen.filter(({ topic }) => topic === 'devices/d/gone').length === 4,
    );
    t.true(
      seen.every(
        ({ topic, payload }) => topic !== 'devices/d/gone' || payload === 'x'.repeat(5000),
      ),
    );
  });

  test(`with ${mode}: a broker that stops reports presence after the claims are released`, async (t) => {
    const authority = new ClaimAuthority();
    const world = await brokerWorld(t, {
      config: { broker: { fronts, store: 'durable' } },
      claims: authority.join('broker-1'),
    });
    await world.mqtt(world.device('d'), { clientId: 'd' });
    authority.holds = true;
    const stopped = world.broker.close();
    await until('the claim is released', () => authority.held.length === 1);
    // A broker that does not wait for the answer stops in this time.
    await Promise.race([stopped, delay(200)]);
    authority.answer();
    await stopped;
    t.is(authority.owners.size, 0);
    authority.holds = false;
    await world.restart();
    t.false(world.capture.lines.some(({ msg }) => msg === 'presence corrected'));
  });
}
