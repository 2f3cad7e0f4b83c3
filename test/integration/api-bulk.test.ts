import test from 'ava';
import { ApiClient } from '../../core/protocol/api-client.ts';
import { bulkResultSchema } from '../../core/protocol/bulk-api.ts';
import { enrollService, replyOf, type TestService } from '../support/enroll-service.ts';

async function imported(service: TestService, rows: readonly object[]): Promise<void> {
  await service.call({
    method: 'POST',
    path: '/v1/devices/import',
    ...service.admin,
    headers: { 'content-type': 'application/x-ndjson' },
    body: rows.map((row) => `${JSON.stringify(row)}\n`).join(''),
  });
}

test('a dry run counts, and the change happens only to the number that was seen', async (t) => {
  const service = await enrollService(t);
  await imported(service, [
    { id: 'a1', group: 'a' },
    { id: 'a2', group: 'a' },
    { id: 'b1', group: 'b' },
  ]);
  const bulk = async (body: object): Promise<{ status: number; body: object }> =>
    service.asAdmin('POST', '/v1/devices/bulk', body);
  const edit = { filter: { group: 'a' }, action: 'edit', edit: { group: 'c' } };
  const dry = bulkResultSchema.parse((await bulk({ ...edit, dryRun: true })).body);
  t.like(dry, { dryRun: true, matched: 2, changed: 0, sample: ['a1', 'a2'] });
  t.is((await bulk({ ...edit, expected: 3 })).status, 412);
  t.is((await bulk(edit)).status, 412, 'without a number');
  const done = bulkResultSchema.parse((await bulk({ ...edit, expected: 2 })).body);
  t.like(done, { dryRun: false, matched: 2, changed: 2, failed: 0 });
  t.is((await service.asAdmin('GET', '/v1/devices/a1')).body['group'], 'c');
  const held = bulkResultSchema.parse(
    (await bulk({ filter: { group: 'c' }, action: 'suspend', expected: 2 })).body,
  );
  t.like(held, { changed: 0, failed: 2 });
  t.deepEqual(held.failures[0], { id: 'a1', code: 'device-state-conflict' });
  const all = bulkResultSchema.parse(
    (await bulk({ filter: {}, action: 'delete', dryRun: true })).body,
  );
  t.is(all.matched, 3, 'no administrator, no broker');
  const lines = await service.audit();
  t.is(lines.filter(({ action }) => action === 'device-changed').length, 2);
});

test('many devices are revoked by filter, and the brokers get it', async (t) => {
  const service = await enrollService(t);
  for (const id of ['r1', 'r2']) await service.device(id);
  const { body } = await service.asAdmin('POST', '/v1/devices/bulk', {
    filter: { ids: ['r1', 'r2', 'none'] },
    action: 'revoke',
    reason: 'keyCompromise',
    expected: 2,
  });
  t.like(bulkResultSchema.parse(body), { changed: 2, failed: 0 });
  t.is((await service.asAdmin('GET', '/v1/devices/r2')).body['status'], 'revoked');
});

test('a call that is repeated with its Idempotency-Key happens once', async (t) => {
  const service = await enrollService(t);
  const post = async (key: string, device: string) =>
    replyOf(
      await service.call({
        method: 'POST',
        path: '/v1/tokens',
        ...service.admin,
        headers: { 'idempotency-key': key },
        body: { device },
      }),
    );
  const [first, second] = await Promise.all([post('k1', 'd1'), post('k1', 'd1')]);
  t.is(first.status, 201);
  t.is(second.status, 201);
  t.is(first.body['token'], second.body['token']);
  t.is((await post('k1', 'd1')).body['token'], first.body['token']);
  t.is((await post('k1', 'd2')).body['code'], 'idempotency-key-reused');
  t.not((await post('k2', 'd1')).body['token'], first.body['token']);
  const made = (await service.audit()).filter(({ action }) => action === 'token-created');
  t.is(made.length, 2);
});

test('the generated client makes the calls of the API', async (t) => {
  const service = await enrollService(t);
  await imported(service, [{ id: 'pump/7'.replace('/', '-'), group: 'north' }]);
  const client = new ApiClient(async ({ method, path, body, headers }) => {
    const answer = await service.call({
      method,
      path,
      ...service.admin,
      ...(body === undefined ? {} : { body }),
      ...(headers === undefined ? {} : { headers }),
    });
    if (answer.status >= 400) throw new Error(answer.body.toString());
    return answer.body.length === 0 ? undefined : (JSON.parse(answer.body.toString()) as unknown);
  });
  const page = await client.listDevices({ query: { search: 'pump', total: 'true' } });
  t.is(page.total, 1);
  t.is((await client.getDevice({ id: 'pump-7' })).group, 'north');
  const edited = await client.editDevice({ id: 'pump-7', body: { attributes: { site: 'Oslo' } } });
  t.is(edited.attributes['site'], 'Oslo');
  await client.deleteDevice({ id: 'pump-7' });
  t.is((await client.getStats()).devices.total, 0);
});
