import test from 'ava';
import { systemClock, type Clock } from '../../core/clock.ts';
import {
  brokersSchema,
  metricsHistorySchema,
  presenceEventSchema,
} from '../../core/protocol/operator-api.ts';
import { followFeed } from '../support/enroll-broker.ts';
import { enrollService, type TestService } from '../support/enroll-service.ts';
import { followEvents, type TestStream } from '../support/event-stream.ts';
import { fleetWorld } from '../support/fleet-world.ts';
import { until } from '../support/until.ts';
import type { ExecutionContext } from 'ava';

const stream = (
  t: Pick<ExecutionContext, 'teardown'>,
  service: TestService,
  query = '',
  headers: Readonly<Record<string, string>> = {},
): Promise<TestStream> =>
  followEvents(t, {
    url: `${service.url}/v1/events${query}`,
    ca: service.ca,
    ...service.admin,
    headers,
  });

test('events come as they happen, and a client continues after the last one it has', async (t) => {
  const service = await enrollService(t);
  const first = await stream(t, service, '?types=audit');
  t.is(first.status, 200);
  await service.token('a');
  const made = await first.event('the token', ({ data }) => data['device'] === 'a');
  t.is(made.type, 'audit');
  t.is(made.data['actor'], 'admin');
  first.close();
  await service.token('b');
  await service.token('c');
  const second = await stream(t, service, '?types=audit', { 'last-event-id': made.id });
  await second.event('c', ({ data }) => data['device'] === 'c');
  t.deepEqual(
    second.events.filter(({ type }) => type === 'audit').map(({ data }) => data['device']),
    ['b', 'c'],
  );
  t.false(second.events.some(({ type }) => type === 'gap'));
  const onlyC = await stream(t, service, `?device=c&lastEventId=${made.id}`);
  await onlyC.event('c', ({ data }) => data['device'] === 'c');
  t.false(onlyC.events.some(({ data }) => data['device'] === 'b'));
});

test('a client that continues from another run of the service is sent a gap', async (t) => {
  const service = await enrollService(t);
  const events = await stream(t, service, '', { 'last-event-id': '00000000-7' });
  const gap = await events.event('the gap', ({ type }) => type === 'gap');
  t.deepEqual(gap.data, { dropped: null });
  t.is((await stream(t, service, '?types=nonsense')).status, 400);
});

test('streams of events are limited for each operator', async (t) => {
  const service = await enrollService(t, {
    config: { limits: { enroll: { eventStreamsPerOperatorMax: 2 } } },
  });
  const open = [await stream(t, service), await stream(t, service)];
  t.is((await stream(t, service)).status, 429);
  open[0]!.close();
  await until('a free place', async () => (await stream(t, service)).status === 200);
});

test('a stream ends when its operator gets another role', async (t) => {
  const checks: (() => void)[] = [];
  // The check of credentials, every 15 s, is run by the test.
  const after: Clock['after'] = (ms, call) => {
    if (ms !== 15_000) return systemClock.after(ms, call);
    checks.push(call);
    return () => undefined;
  };
  const service = await enrollService(t, { clock: { ...systemClock, after } });
  await service.asAdmin('PUT', '/v1/operators/alice', { role: 'operator' });
  const made = await service.asAdmin('POST', '/v1/keys', { name: 'ci', operator: 'alice' });
  const headers = { authorization: `Bearer ${String(made.body['key'])}` };
  const url = `${service.url}/v1/events`;
  const events = await followEvents(t, { url, ca: service.ca, headers });
  t.is(events.status, 200);
  await service.asAdmin('PUT', '/v1/operators/alice', { role: 'viewer' });
  for (const check of checks) check();
  await until('the end of the stream', () => events.ended || undefined);
  t.is((await followEvents(t, { url, ca: service.ca, headers })).status, 200, 'as a viewer');
});

test('a client that does not read loses events and gets their number; others lose none', async (t) => {
  const service = await enrollService(t);
  const slow = await stream(t, service, '?types=audit');
  await slow.event('hello', ({ type }) => type === 'hello');
  slow.pause();
  const fast = await stream(t, service, '?types=audit');
  const batch = (at: number): object => ({
    devices: Array.from({ length: 1000 }, (_none, row) => `d-${at}-${row}`),
    group: 'g'.repeat(128),
  });
  const batches = 30;
  for (let at = 0; at < batches; at++) {
    t.is((await service.asAdmin('POST', '/v1/tokens/batch', batch(at))).status, 201);
    const lines = (): number => fast.events.filter(({ type }) => type === 'audit').length;
    await until('all events', () => lines() === (at + 1) * 1000 || undefined);
  }
  slow.resume();
  const gap = await slow.event('the gap', ({ type }) => type === 'gap');
  const dropped = Number(gap.data['dropped']);
  t.true(dropped > 0);
  const got = slow.events.filter(({ type }) => type === 'audit').length;
  t.is(got + dropped, batches * 1000);
});

test('connections of many devices come in few events, with the number of those connected', async (t) => {
  const service = await enrollService(t);
  const registered = await service.call({
    method: 'POST',
    path: '/v1/devices/import',
    ...service.admin,
    headers: { 'content-type': 'application/x-ndjson' },
    body: Array.from({ length: 500 }, (_none, at) => `{"id":"d-${at}"}\n`).join(''),
  });
  t.is(registered.status, 200);
  const broker = await followFeed(t, service);
  const events = await stream(t, service, '?types=presence,brokers');
  const many = Array.from({ length: 500 }, (_none, at) => ({
    id: `d-${at}`,
    connected: true,
    atMs: Date.now(),
    serial: '01',
    remoteAddress: '10.0.0.1',
  }));
  await broker.report({ presence: many as never });
  const event = await events.event('presence', ({ type }) => type === 'presence');
  const { connected, changes, more } = presenceEventSchema.parse(event.data);
  t.is(connected, 500);
  t.is(changes.length + more, 500);
  broker.close();
  const lost = await events.event('the broker left', ({ type }) => type === 'brokers');
  t.deepEqual(brokersSchema.parse(lost.data).brokers, []);
});

test('brokers report their numbers, which are kept as a history and sent as events', async (t) => {
  const world = await fleetWorld(t);
  const events = await stream(t, world.enroll, '?types=metrics');
  const device = await world.device('d1');
  const client = await world.mqtt(device, { clientId: 'd1' });
  await client.publishAsync('devices/d1/a', 'x');
  const sample = await until('a sample with the connection', async () => {
    const { body } = await world.enroll.asAdmin('GET', '/v1/brokers');
    const [broker] = brokersSchema.parse(body).brokers;
    const found = broker?.sample;
    return found?.connections === 1 && found.messagesIn === 1 ? found : undefined;
  });
  t.regex(sample.version, /^\d+\.\d+\.\d+/);
  const point = await events.event('a point', ({ data }) => data['connections'] === 1);
  t.is(point.type, 'metrics');
  const { body } = await world.enroll.asAdmin('GET', '/v1/metrics/history');
  const { stepMs, points } = metricsHistorySchema.parse(body);
  t.is(stepMs, 5000);
  t.true(points.some(({ connections }) => connections === 1));
  t.true(points.some(({ messagesInPerSecond }) => messagesInPerSecond > 0));
  const none = await world.enroll.asAdmin('GET', '/v1/metrics/history?broker=none');
  t.deepEqual(none.body['points'], []);
});
