import test from 'ava';
import { brokersSchema, statsSchema, tokenPageSchema } from '../../core/protocol/operator-api.ts';
import { devicePageSchema } from '../../core/protocol/enrollment-api.ts';
import { followFeed } from '../support/enroll-broker.ts';
import {
  csrOf,
  enrollService,
  replyOf,
  type Reply,
  type TestService,
} from '../support/enroll-service.ts';

/** Registers devices without certificates: enough for lists. */
async function imported(service: TestService, rows: readonly object[]): Promise<void> {
  const answer = await service.call({
    method: 'POST',
    path: '/v1/devices/import',
    ...service.admin,
    headers: { 'content-type': 'application/x-ndjson' },
    body: rows.map((row) => `${JSON.stringify(row)}\n`).join(''),
  });
  if (answer.status !== 200) throw new Error(answer.body.toString());
}

async function ids(service: TestService, query: string): Promise<string[]> {
  const { body } = await service.asAdmin('GET', `/v1/devices?${query}`);
  return devicePageSchema.parse(body).devices.map(({ id }) => id);
}

test('devices are found by a part of id, group or attribute, and by whether they are online', async (t) => {
  const service = await enrollService(t);
  await imported(service, [
    { id: 'Pump-1', group: 'plant-a', attributes: { site: 'Oslo' } },
    { id: 'pump-2', group: 'plant-b' },
    { id: 'valve-1', group: 'plant-a' },
  ]);
  t.deepEqual(await ids(service, 'search=PUMP'), ['Pump-1', 'pump-2']);
  t.deepEqual(await ids(service, 'search=lant-a'), ['Pump-1', 'valve-1']);
  t.deepEqual(await ids(service, 'search=oslo'), ['Pump-1']);
  t.deepEqual(await ids(service, 'search=oslo&group=plant-b'), []);
  const device = await service.device('live-1');
  const broker = await followFeed(t, service);
  const came = {
    id: 'live-1',
    connected: true,
    atMs: Date.now(),
    serial: device.issued.serial,
    remoteAddress: '10.0.0.1',
  };
  t.is((await broker.report({ presence: [came as never] })).status, 204);
  t.deepEqual(await ids(service, 'online=true'), ['live-1']);
  t.false((await ids(service, 'online=false&role=device')).includes('live-1'));
  const { body } = await service.asAdmin('GET', '/v1/devices?online=true&total=true');
  t.is(devicePageSchema.parse(body).total, 1);
});

test('a device is changed only in the version that the caller has read, if it sends If-Match', async (t) => {
  const service = await enrollService(t);
  await imported(service, [{ id: 'pump-1', group: 'north' }]);
  const edit = async (ifMatch: string | undefined, body: object): Promise<Reply> =>
    replyOf(
      await service.call({
        ...{ method: 'PATCH', path: '/v1/devices/pump-1', body, ...service.admin },
        headers: ifMatch === undefined ? {} : { 'if-match': ifMatch },
      }),
    );
  const read = String((await service.asAdmin('GET', '/v1/devices/pump-1')).headers.etag);
  t.regex(read, /^"[0-9a-f]{32}"$/);
  const first = await edit(`"other", ${read}`, { group: 'south' });
  t.is(first.status, 200);
  for (const stale of [read, `W/${String(first.headers.etag)}`, 'nonsense']) {
    const refused = await edit(stale, { group: 'east' });
    t.is(refused.status, 412);
    t.is(refused.body['code'], 'version-conflict');
  }
  t.is((await service.asAdmin('GET', '/v1/devices/pump-1')).body['group'], 'south');
  t.is((await edit(String(first.headers.etag), { group: 'east' })).status, 200);
  t.is((await edit('*', { group: 'west' })).status, 200);
  t.is((await edit(undefined, { group: null })).body['group'], null);
});

test('each order of the devices is complete and without repeats over its pages', async (t) => {
  const service = await enrollService(t);
  const rows = Array.from({ length: 57 }, (_none, at) => ({
    id: `d-${String((at * 37) % 57).padStart(2, '0')}`,
    group: `g${at % 3}`,
  }));
  await imported(service, rows);
  const expected = rows.map(({ id }) => id).sort();
  for (const sort of [
    'id',
    '-id',
    'status',
    'group',
    '-group',
    'lastSeen',
    'expires',
    '-created',
  ]) {
    const found: string[] = [];
    let after = '';
    do {
      const query = `prefix=d-&sort=${sort}&limit=10&total=true${after}`;
      const page = devicePageSchema.parse(
        (await service.asAdmin('GET', `/v1/devices?${query}`)).body,
      );
      t.is(page.total, 57);
      t.true(page.devices.length <= 10);
      found.push(...page.devices.map(({ id }) => id));
      after = page.next === null ? '' : `&after=${encodeURIComponent(page.next)}`;
    } while (after !== '');
    t.deepEqual([...found].sort(), expected, sort);
    if (sort === '-id') t.deepEqual(found, expected.toReversed());
    if (sort === 'group') {
      const groups = found.map((id) => rows.find((row) => row.id === id)!.group);
      t.deepEqual(groups, [...groups].sort());
    }
  }
});

test('a cursor of another order is refused', async (t) => {
  const service = await enrollService(t);
  await imported(service, [{ id: 'a' }, { id: 'b' }]);
  const { body } = await service.asAdmin('GET', '/v1/devices?sort=group&limit=1');
  const { next } = devicePageSchema.parse(body);
  const wrong = await service.asAdmin('GET', `/v1/devices?sort=expires&after=${next}`);
  t.is(wrong.body['code'], 'request-invalid');
  t.is((await service.asAdmin('GET', '/v1/devices?sort=size')).status, 400);
});

test('the numbers of the fleet follow what happens', async (t) => {
  const service = await enrollService(t);
  await imported(service, [{ id: 'waiting', group: 'g' }]);
  const device = await service.device('d1');
  await service.device('d2');
  t.is((await service.asAdmin('POST', '/v1/devices/d2/suspend')).status, 200);
  const broker = await followFeed(t, service);
  await broker.report({
    presence: [
      {
        id: 'd1',
        connected: true,
        atMs: Date.now(),
        serial: device.issued.serial,
        remoteAddress: '10.0.0.1',
      } as never,
    ],
    refusals: {
      run: 'r',
      number: 1,
      entries: [
        { code: 'publish-denied', stage: 'publish', count: 3, firstAtMs: 1, lastAtMs: 2 },
        { code: 'role-unknown', stage: 'connect', count: 2, firstAtMs: 1, lastAtMs: 2 },
      ],
    },
  });
  const stats = statsSchema.parse((await service.asAdmin('GET', '/v1/stats')).body);
  t.is(stats.devices.total, 3);
  t.is(stats.devices.connected, 1);
  t.like(stats.devices.byStatus, { active: 1, suspended: 1, pending: 1 });
  t.is(stats.certificates.later, 1);
  t.is(stats.lastHour.enrollments, 2);
  t.is(stats.lastHour.denials, 3);
  t.is(stats.lastHour.refusals, 2);
  t.is(stats.brokers.length, 1);
  const restarted = await service.restart();
  const again = statsSchema.parse((await restarted.asAdmin('GET', '/v1/stats')).body);
  t.deepEqual(again.lastHour, stats.lastHour);
});

test('brokers are listed with how far each is behind', async (t) => {
  const service = await enrollService(t);
  const broker = await followFeed(t, service);
  await service.device('d1');
  const change = await broker.line('the change', ({ type }) => type === 'change');
  const list = async () =>
    brokersSchema.parse((await service.asAdmin('GET', '/v1/brokers')).body).brokers;
  t.true((await list())[0]!.changesBehind > 0);
  t.is(change.type, 'change');
  await broker.report({ applied: broker.sequence });
  t.like((await list())[0]!, { connected: true, changesBehind: 0 });
  const { body } = await service.asAdmin('GET', '/v1/groups');
  t.deepEqual(body['groups'], [{ group: null, count: 1 }]);
});

test('tokens are listed newest first, without the secret', async (t) => {
  const service = await enrollService(t);
  const secrets: string[] = [];
  for (const id of ['t1', 't2', 't3']) secrets.push((await service.token(id)).token);
  await service.enroll('t1', csrOf('t1').pem, secrets[0]);
  const found: string[] = [];
  let after = '';
  do {
    const answer = await service.asAdmin('GET', `/v1/tokens?limit=1${after}`);
    t.false(secrets.some((secret) => JSON.stringify(answer.body).includes(secret)));
    const page = tokenPageSchema.parse(answer.body);
    found.push(...page.tokens.map(({ device, status }) => `${device} ${status}`));
    after = page.next === null ? '' : `&after=${page.next}`;
  } while (after !== '');
  t.deepEqual(found.sort(), ['t1 used', 't2 active', 't3 active']);
  const { body } = await service.asAdmin('GET', '/v1/tokens?status=used');
  t.is(tokenPageSchema.parse(body).tokens.length, 1);
});

test('the export as CSV has what the filter matches, and no cell that a spreadsheet runs', async (t) => {
  const service = await enrollService(t);
  for (const id of ['a-1', 'a-2', 'b-1']) await service.device(id);
  await service.asAdmin('PATCH', '/v1/devices/a-1', {
    group: '=HYPERLINK("x")',
    attributes: { note: 'one,two' },
  });
  const answer = await service.asAdmin(
    'GET',
    '/v1/devices/export?format=csv&search=a-&kind=device',
  );
  t.is(answer.headers['content-type'], 'text/csv; charset=utf-8');
  const [head, first, second, ...rest] = String(answer.body['text']).split('\r\n');
  t.regex(head ?? '', /^id,kind,role,status,group,connected,/);
  t.true(first?.startsWith('a-1,device,device,active,"\'=HYPERLINK(""x"")",false,'), first);
  t.true(first?.endsWith(',"note=one,two"'), first);
  t.true(second?.startsWith('a-2,'), second);
  t.deepEqual(rest, ['']);
  t.is((await service.asAdmin('GET', '/v1/devices/export?format=xml')).status, 400);
});
