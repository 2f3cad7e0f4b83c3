import test from 'ava';
import { randomBytes, sign } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { privateKeyPem } from '../../certs/key.ts';
import { parseCsr } from '../../certs/csr.ts';
import { readCertificate } from '../../certs/certificate.ts';
import { deviceSchema, type Issued } from '../../core/protocol/enrollment-api.ts';
import { tailAudit, verifyAudit } from '../../enroll/audit/audit-reader.ts';
import { auditFilePath } from '../../enroll/audit/audit-files.ts';
import { followFeed } from '../support/enroll-broker.ts';
import { csrOf, enrollService, replyOf } from '../support/enroll-service.ts';
import { runChild } from '../support/child.ts';
import { debianTool } from '../support/debian-tool.ts';
import { join } from 'node:path';
import { tempFolder } from '../support/temp-folder.ts';

test('a broker relays a renewal for the same key, or with a signature of the old key', async (t) => {
  const service = await enrollService(t);
  const device = await service.device('d1');
  const { serial, fingerprint } = device.issued;
  const relay = async (csr: string, more: object = {}): Promise<ReturnType<typeof replyOf>> =>
    replyOf(
      await service.call({
        method: 'POST',
        path: '/v1/relay/renew',
        ...service.broker,
        body: { device: 'd1', serial, fingerprint, csr, remoteAddress: '10.0.0.9', ...more },
      }),
    );
  t.is((await relay(device.csr)).status, 201);
  const fresh = csrOf('d1');
  t.is((await relay(fresh.pem)).body['code'], 'relay-proof-missing');
  const { der } = parseCsr(fresh.pem);
  const wrong = sign('sha256', der, fresh.key).toString('base64');
  t.is((await relay(fresh.pem, { proof: wrong })).body['code'], 'relay-proof-missing');
  const proof = sign('sha256', der, device.key).toString('base64');
  t.is((await relay(fresh.pem, { proof })).status, 201);
  t.is((await relay(device.csr, { device: 'other' })).body['code'], 'client-certificate-untrusted');
  const admin = readCertificate(service.admin.cert.split(/(?<=-----END CERTIFICATE-----\n)/)[0]!);
  const forAdmin = { device: 'admin', serial: admin.serial, fingerprint: admin.fingerprint };
  t.is((await relay(csrOf('admin').pem, forAdmin)).body['code'], 'role-missing');
  const byDevice = await service.call({
    method: 'POST',
    path: '/v1/relay/renew',
    ...device.credential,
    body: { device: 'd1', serial, fingerprint, csr: device.csr, remoteAddress: '' },
  });
  t.is(byDevice.status, 403);
});

test('profiles decide when, and with which key, a certificate may be renewed', async (t) => {
  const service = await enrollService(t, {
    config: {
      enroll: {
        profiles: { default: { validity: '10d', keyReuse: false }, late: { renewalPart: 0.3 } },
      },
    },
  });
  const device = await service.device('d1');
  const renew = async (
    csr: string,
    credential = device.credential,
  ): Promise<ReturnType<typeof replyOf>> =>
    replyOf(
      await service.call({ method: 'POST', path: '/v1/renew', body: { csr }, ...credential }),
    );
  t.is((await renew(device.csr)).body['code'], 'key-reuse-refused');
  t.is((await renew(csrOf('d1').pem)).status, 201);
  const { token } = await service.token('d2', { profile: 'late' });
  const mine = csrOf('d2');
  const issued = (await service.enroll('d2', mine.pem, token)).body as unknown as Issued;
  const early = await renew(mine.pem, {
    cert: issued.chain,
    key: privateKeyPem(mine.key),
  });
  t.is(early.body['code'], 'renewal-too-early');
  t.truthy(early.headers['retry-after']);
});

test('certificates of services work, and each role can make only its own calls', async (t) => {
  const openssl = debianTool(t, 'openssl');
  if (openssl === undefined) return;
  const service = await enrollService(t);
  const folder = tempFolder(t);
  await writeFile(join(folder, 'ca.pem'), service.ca);
  for (const role of ['service', 'admin', 'broker']) {
    const made = csrOf(`my-${role}`);
    const reply = await service.asAdmin('POST', '/v1/services', {
      name: `my-${role}`,
      role,
      csr: made.pem,
      ...(role === 'broker' ? { names: ['broker.example', '10.1.2.3'] } : {}),
    });
    t.is(reply.status, 201);
    const issued = reply.body as unknown as Issued;
    await writeFile(join(folder, 'leaf.pem'), issued.certificate);
    const purposes = role === 'broker' ? ['sslclient', 'sslserver'] : ['sslclient'];
    for (const purpose of purposes) {
      const checked = await runChild(
        t,
        openssl,
        ['verify', '-x509_strict', '-purpose', purpose, '-CAfile', 'ca.pem', 'leaf.pem'],
        { cwd: folder },
      );
      t.is(checked.code, 0, checked.stderr);
    }
    const credential = {
      cert: issued.chain,
      key: privateKeyPem(made.key),
    };
    const list = await service.call({ method: 'GET', path: '/v1/devices', ...credential });
    t.is(list.status, role === 'admin' ? 200 : 403);
  }
  const taken = await service.asAdmin('POST', '/v1/services', {
    name: 'my-service',
    role: 'admin',
    csr: csrOf('my-service').pem,
  });
  t.is(taken.body['code'], 'identity-role-conflict');
});

test('import accepts CSV and JSON lines, with tokens created elsewhere; export returns everything', async (t) => {
  const service = await enrollService(t);
  const token = randomBytes(32).toString('base64url');
  const send = async (type: string, body: string): Promise<ReturnType<typeof replyOf>> =>
    replyOf(
      await service.call({
        method: 'POST',
        path: '/v1/devices/import',
        headers: { 'content-type': type },
        body,
        ...service.admin,
      }),
    );
  const csv = `id,group,token,attr:site\r\ni1,"hall ""7"", left",${token},north\r\ni2,,,\r\nbad id,,,\r\ni1b,,short,\r\n`;
  const first = await send('text/csv', csv);
  t.is(first.status, 200, JSON.stringify(first.body));
  t.like(first.body, { created: 2, updated: 0, tokens: 1 });
  t.deepEqual(
    (first.body['refused'] as { line: number }[]).map(({ line }) => line),
    [4, 5],
  );
  t.like((await send('text/csv', csv)).body, { created: 0, updated: 2, tokens: 0 });
  const lines = `${JSON.stringify({ id: 'i3', attributes: { site: 'south' } })}\nnonsense\n${JSON.stringify({ id: 'admin' })}\n`;
  const second = await send('application/x-ndjson', lines);
  t.like(second.body, { created: 1 });
  t.is((second.body['refused'] as unknown[]).length, 2);
  t.is((await send('text/csv', 'a,b\n1,2\n')).status, 400);
  t.is((await send('text/plain', 'x')).status, 415);
  const shown = await service.asAdmin('GET', '/v1/devices/i1');
  t.like(shown.body, { status: 'pending', group: 'hall "7", left', attributes: { site: 'north' } });
  t.is((await service.enroll('i1', csrOf('i1').pem, token)).status, 201);
  t.is((await service.asAdmin('GET', '/v1/devices/i1')).body['status'], 'active');
  const found = await service.asAdmin('GET', '/v1/devices?attribute=site%3Dsouth');
  t.deepEqual(
    (found.body['devices'] as { id: string }[]).map(({ id }) => id),
    ['i3'],
  );
  const exported = await service.call({
    method: 'GET',
    path: '/v1/devices/export',
    ...service.admin,
  });
  const rows = exported.body
    .toString()
    .trim()
    .split('\n')
    .map((line) => deviceSchema.parse(JSON.parse(line)));
  t.deepEqual(rows.map(({ id }) => String(id)).sort(), ['admin', 'broker', 'i1', 'i2', 'i3']);
});

test('a second issuer is added and the first one removed, and no device is locked out', async (t) => {
  const service = await enrollService(t);
  const device = await service.device('d1');
  const broker = await followFeed(t, service);
  const timer = setInterval(() => void broker.report({}).catch(() => undefined), 20);
  t.teardown(() => clearInterval(timer));
  const [old] = (await service.asAdmin('GET', '/v1/issuers')).body['issuers'] as {
    fingerprint: string;
  }[];
  const made = await service.asAdmin('POST', '/v1/issuers', {});
  t.is(made.status, 201, JSON.stringify(made.body));
  t.true(made.body['current']);
  await broker.line('both issuers', (line) => line.type === 'authorities' && line.pem.length === 4);
  const ca = replyOf(await service.call({ method: 'GET', path: '/v1/ca' }));
  t.is(String(ca.body['ca']).match(/BEGIN/g)?.length, 3);
  // The old certificate stays valid; a renewed one is of the new issuer.
  const call = { method: 'GET', path: '/v1/whoami' } as const;
  t.is((await service.call({ ...call, ...device.credential })).status, 200);
  t.is(
    (await service.asAdmin('DELETE', `/v1/issuers/${old!.fingerprint}`)).body['code'],
    'issuer-in-use',
  );
  const next = await service.device('d2');
  t.is(
    readCertificate(next.issued.chain.split(/(?<=-----END CERTIFICATE-----\n)/)[1]!).fingerprint,
    String(made.body['fingerprint']),
  );
  t.is((await service.call({ ...call, ...next.credential })).status, 200);
  for (const issuer of [old!.fingerprint, String(made.body['fingerprint'])]) {
    const crl = await service.call({ method: 'GET', path: `/crl/${issuer.slice(7, 23)}.pem` });
    t.is(crl.status, 200);
  }
  const again = await service.restart();
  t.is((await again.call({ ...call, ...device.credential })).status, 200);
  t.is((await again.call({ ...call, ...next.credential })).status, 200);
});

test('the OpenAPI document describes every call', async (t) => {
  const service = await enrollService(t);
  const { body } = replyOf(await service.call({ method: 'GET', path: '/v1/openapi.json' }));
  t.is(body['openapi'], '3.1.0');
  t.deepEqual(body['servers'], [{ url: service.url }]);
  const paths = body['paths'] as Record<string, Record<string, { responses: object }>>;
  for (const path of [
    '/v1/enroll',
    '/v1/renew',
    '/v1/devices/{id}/revoke',
    '/v1/feed',
    '/v1/devices/import',
  ]) {
    t.truthy(paths[path], path);
  }
  t.regex(JSON.stringify(paths['/v1/enroll']), /A-Za-z0-9/);
  const service2 = JSON.stringify(body);
  t.false(service2.includes('"$schema"'));
});

test('a line of the audit log that was changed, removed or inserted is detected', async (t) => {
  const service = await enrollService(t);
  await service.device('d1');
  await service.device('d2');
  await service.service.close();
  const folder = service.state.enroll.audit;
  const path = auditFilePath(folder, 1);
  const text = await readFile(path, 'utf8');
  const lines = text.split('\n');
  t.true((await verifyAudit(folder)).ok);
  const broken = [
    text.replace('"device":"d1"', '"device":"dX"'),
    lines.filter((_line, at) => at !== 2).join('\n'),
    [...lines.slice(0, 2), lines[1], ...lines.slice(2)].join('\n'),
    [lines[1], lines[0], ...lines.slice(2)].join('\n'),
  ];
  for (const one of broken) {
    t.not(one, text);
    await writeFile(path, one);
    const verdict = await verifyAudit(folder);
    t.false(verdict.ok);
    t.truthy(verdict.fault);
  }
  await writeFile(path, text);
  t.is((await tailAudit(folder, 2)).length, 2);
});
