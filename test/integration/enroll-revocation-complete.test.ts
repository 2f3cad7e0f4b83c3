import test from 'ava';
import { csrOf, enrollService } from '../support/enroll-service.ts';
import { enrollWith, factoryCa } from '../support/factory.ts';

const approval = { enroll: { approval: { enabled: true } } };

for (const action of ['revoke', 'delete'] as const) {
  test(`an approval from before does not undo it: ${action}`, async (t) => {
    const service = await enrollService(t, { config: approval });
    await service.device('d1');
    const { pem } = csrOf('d1');
    t.is((await service.enroll('d1', pem)).status, 202);
    const [request] = (await service.asAdmin('GET', '/v1/requests')).body['requests'] as {
      id: string;
    }[];
    await service.asAdmin('POST', `/v1/requests/${request!.id}/approve`, {});
    const path = '/v1/devices/d1';
    if (action === 'delete') await service.asAdmin('DELETE', path);
    else await service.asAdmin('POST', `${path}/revoke`, { reason: 'keyCompromise' });
    const again = await service.enroll('d1', pem);
    t.is(again.status, 202, 'it waits for an operator again');
  });

  test(`the same request does not get the certificate again after: ${action}`, async (t) => {
    const service = await enrollService(t);
    const group = await service.asAdmin('POST', '/v1/tokens/group', { group: 'g', uses: 1 });
    const token = String(group.body['token']);
    const { pem } = csrOf('d1');
    t.is((await service.enroll('d1', pem, token)).status, 201);
    t.is((await service.enroll('d1', pem, token)).status, 201, 'a repetition');
    const path = '/v1/devices/d1';
    if (action === 'delete') await service.asAdmin('DELETE', path);
    else await service.asAdmin('POST', `${path}/revoke`, {});
    t.is((await service.enroll('d1', pem, token)).body['code'], 'token-used');
  });
}

test('a factory enrolls again only devices that it has enrolled, unless it may take over', async (t) => {
  const service = await enrollService(t);
  const first = factoryCa();
  const second = factoryCa();
  const add = async (name: string, certificate: string, more = {}): Promise<number> =>
    (await service.asAdmin('POST', '/v1/factories', { name, certificate, ...more })).status;
  t.is(await add('first', first.pem), 201);
  t.is(await add('second', second.pem), 201);
  await service.device('by-token');
  for (const factory of [first, second]) {
    const { body } = await enrollWith(service, 'by-token', factory.device('by-token'));
    t.is(body['code'], 'device-exists');
  }
  t.is((await enrollWith(service, 'f1', first.device('f1'))).status, 201);
  t.is((await enrollWith(service, 'f1', first.device('f1'))).status, 201, 'with another key');
  t.is((await enrollWith(service, 'f1', second.device('f1'))).body['code'], 'device-exists');
  t.is(await add('second', second.pem, { takesOver: true }), 201);
  t.is((await enrollWith(service, 'f1', second.device('f1'))).status, 201);
});

test('one address cannot fill the queue of approvals, and denied requests take no place in it', async (t) => {
  const service = await enrollService(t, {
    config: { ...approval, limits: { enroll: { requestsPendingMax: 20 } } },
  });
  const ask = (id: string): Promise<number> =>
    service.enroll(id, csrOf(id).pem).then(({ status }) => status);
  t.deepEqual([await ask('a1'), await ask('a2'), await ask('a3')], [202, 202, 429]);
  const { body } = await service.asAdmin('GET', '/v1/requests');
  for (const { id } of body['requests'] as { id: string }[]) {
    await service.asAdmin('POST', `/v1/requests/${id}/deny`, {});
  }
  t.deepEqual([await ask('a4'), await ask('a5'), await ask('a6')], [202, 202, 429]);
});
