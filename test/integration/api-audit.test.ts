import test from 'ava';
import { auditPageSchema, historySchema } from '../../core/protocol/operator-api.ts';
import { followFeed } from '../support/enroll-broker.ts';
import { enrollService, type TestService } from '../support/enroll-service.ts';

async function all(service: TestService, query: string, limit: number): Promise<number[]> {
  const found: number[] = [];
  let after = '';
  do {
    const answer = await service.asAdmin('GET', `/v1/audit?limit=${limit}${query}${after}`);
    const page = auditPageSchema.parse(answer.body);
    found.push(...page.lines.map(({ seq }) => seq));
    after = page.next === null ? '' : `&after=${page.next}`;
  } while (after !== '');
  return found;
}

test('the audit log is read newest first, by page, with filters', async (t) => {
  const service = await enrollService(t);
  for (const id of ['a', 'b', 'c']) await service.device(id);
  await service.asAdmin('POST', '/v1/devices/b/suspend');
  const lines = await service.audit();
  const newestFirst = lines.map((_line, at) => lines.length - at);
  t.deepEqual(await all(service, '', 3), newestFirst);
  t.deepEqual(await all(service, '', 1000), newestFirst);
  const ofB = (await service.asAdmin('GET', '/v1/audit?device=b')).body;
  const actions = auditPageSchema.parse(ofB).lines.map(({ action }) => action);
  t.deepEqual(actions, ['device-suspended', 'certificate-issued', 'token-created']);
  const issued = await service.asAdmin('GET', '/v1/audit?action=certificate-issued&actor=nobody');
  t.deepEqual(issued.body['lines'], []);
  t.is((await all(service, '&action=token-created&action=device-suspended', 2)).length, 4);
  t.deepEqual(await all(service, '&since=2100-01-01T00:00:00Z', 2), []);
  t.deepEqual(await all(service, '&until=2000-01-01T00:00:00Z', 2), []);
  t.is((await service.asAdmin('GET', '/v1/audit?after=nonsense')).status, 400);
  t.is((await service.asAdmin('GET', '/v1/audit?action=nonsense')).status, 400);
  const verdict = (await service.asAdmin('GET', '/v1/audit/verify')).body;
  t.like(verdict, { ok: true, lines: lines.length });
});

test('the history of a device joins the audit log, its connections and its certificates', async (t) => {
  const service = await enrollService(t);
  const device = await service.device('d1');
  const broker = await followFeed(t, service);
  const { serial } = device.issued;
  const atMs = Date.now();
  const connection = { id: 'd1', serial, remoteAddress: '10.0.0.7' };
  await broker.report({ presence: [{ ...connection, connected: true, atMs } as never] });
  await broker.report({
    presence: [{ ...connection, connected: false, atMs: atMs + 5, reason: 'x' } as never],
    refusals: {
      run: 'r',
      number: 1,
      entries: [
        {
          code: 'publish-denied',
          stage: 'publish',
          id: 'd1' as never,
          topic: 'secret/a',
          count: 1,
          firstAtMs: atMs,
          lastAtMs: atMs,
        },
      ],
    },
  });
  await service.asAdmin('POST', '/v1/devices/d1/revoke', {});
  const { body } = await service.asAdmin('GET', '/v1/devices/d1/history');
  const { entries } = historySchema.parse(body);
  const kinds = entries.map(({ kind }) => kind);
  for (const kind of ['revoked', 'denied', 'disconnected', 'connected', 'issued'] as const) {
    t.true(kinds.includes(kind), `${kind} in ${kinds.join(' ')}`);
  }
  t.deepEqual(
    entries.map(({ at }) => at),
    entries
      .map(({ at }) => at)
      .sort()
      .reverse(),
  );
  t.is(entries.find(({ kind }) => kind === 'connected')?.remoteAddress, '10.0.0.7');
  const found: string[] = [];
  let after = '';
  do {
    const page = historySchema.parse(
      (await service.asAdmin('GET', `/v1/devices/d1/history?limit=1${after}`)).body,
    );
    found.push(...page.entries.map(({ at, kind }) => `${at} ${kind}`));
    after = page.next === null ? '' : `&after=${page.next}`;
  } while (after !== '');
  t.deepEqual([...found].sort(), entries.map(({ at, kind }) => `${at} ${kind}`).sort());
  t.deepEqual((await service.asAdmin('GET', '/v1/devices/none/history')).body['entries'], []);
});
