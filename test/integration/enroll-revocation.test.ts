import test from 'ava';
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { z } from 'zod';
import { readCertificate } from '../../certs/certificate.ts';
import { parseCrl } from '../../certs/crl.ts';
import { splitPem } from '../../certs/pem.ts';
import { systemClock } from '../../core/clock.ts';
import { parseDeviceId } from '../../core/device-id.ts';
import { isFlotillaError } from '../../core/errors/flotilla-error.ts';
import { revokedSchema } from '../../core/protocol/enrollment-api.ts';
import { changePassphrase } from '../../enroll/ca/passphrase-change.ts';
import {
  importResponder,
  openRootResponder,
  requestResponder,
  signResponderRequest,
} from '../../enroll/ca/root-responder.ts';
import { runChild } from '../support/child.ts';
import { debianTool } from '../support/debian-tool.ts';
import { followFeed } from '../support/enroll-broker.ts';
import { csrOf, enrollService, replyOf, type TestService } from '../support/enroll-service.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { until } from '../support/until.ts';

test('the feed sends a snapshot and then each change, and resumes where a broker was', async (t) => {
  const service = await enrollService(t);
  await service.device('d1');
  const broker = await followFeed(t, service);
  await broker.line('the end of the snapshot', ({ type }) => type === 'snapshot-end');
  const ids = broker.lines.flatMap((line) => (line.type === 'entry' ? [line.entry.id] : []));
  t.deepEqual(ids.map(String).sort(), ['admin', 'broker', 'd1']);
  t.true(broker.lines.some((line) => line.type === 'authorities' && line.pem.length === 3));
  await service.device('d2');
  const change = await broker.line('d2', (line) => line.type === 'change');
  t.true(
    change.type === 'change' && change.entry.id === 'd2' && change.entry.certificates.length === 1,
  );
  const { epoch, sequence } = broker;
  broker.close();
  await service.device('d3');
  const again = await followFeed(t, service, `?epoch=${epoch}&since=${sequence}`);
  await again.line('d3', (line) => line.type === 'change' && line.entry.id === 'd3');
  t.false(again.lines.some(({ type }) => type === 'snapshot-begin' || type === 'entry'));
  const other = await followFeed(t, service, `?epoch=another&since=${sequence}`);
  await other.line('a snapshot', ({ type }) => type === 'snapshot-end');
});

test('only brokers may read the feed', async (t) => {
  const service = await enrollService(t);
  const device = await service.device('d1');
  const status = async (credential: object): Promise<number> =>
    (await service.call({ method: 'GET', path: '/v1/feed', ...credential })).status;
  t.is(await status({}), 401);
  t.is(await status(device.credential), 403);
  t.is(await status(service.admin), 403);
  for (const path of ['/v1/devices', '/v1/status', '/v1/requests']) {
    t.is((await service.call({ method: 'GET', path, ...device.credential })).status, 403, path);
    t.is((await service.call({ method: 'GET', path, ...service.broker })).status, 403, path);
    t.is((await service.call({ method: 'GET', path })).status, 401, path);
  }
});

test('one call revokes, waits for the brokers, and returns the effect', async (t) => {
  const service = await enrollService(t);
  const device = await service.device('d1');
  const unused = await service.token('d1');
  const broker = await followFeed(t, service);
  broker.answering = () => 2;
  const reply = await service.asAdmin('POST', '/v1/devices/d1/revoke', { reason: 'keyCompromise' });
  const revoked = revokedSchema.parse(reply.body);
  t.deepEqual(revoked.serials, [device.issued.serial]);
  t.is(revoked.connectionsClosed, 2);
  t.is(revoked.brokers, 1);
  t.is(revoked.brokersLate, 0);
  t.true(revoked.elapsedMs > 0);
  t.truthy(revoked.crlNumber);
  const line = await broker.line('d1', (one) => one.type === 'change' && one.entry.id === 'd1');
  t.true(line.type === 'change' && line.entry.status === 'revoked');
  const who = await service.call({ method: 'GET', path: '/v1/whoami', ...device.credential });
  t.is(who.status, 403);
  // A token from before the revocation does not enroll the device again; a new one does.
  t.is((await service.enroll('d1', csrOf('d1').pem, unused.token)).body['code'], 'token-invalid');
  const { token } = await service.token('d1');
  t.is((await service.enroll('d1', csrOf('d1').pem, token)).status, 201);
  t.is((await service.asAdmin('POST', '/v1/devices/none/revoke', {})).status, 404);
});

test('a broker that does not respond delays a revocation only briefly', async (t) => {
  const service = await enrollService(t);
  await service.device('d1');
  await followFeed(t, service);
  const revoked = revokedSchema.parse(
    (await service.asAdmin('POST', '/v1/devices/d1/revoke', {})).body,
  );
  t.is(revoked.brokersLate, 1);
  t.deepEqual(revoked.brokersUnconfirmed, ['broker']);
  t.true(revoked.elapsedMs >= 1900);
});

test('a registered broker that is not connected has not confirmed, also after a restart of the service', async (t) => {
  const service = await enrollService(t);
  const revokedBy = async (
    on: TestService,
    id: string,
  ): Promise<Partial<z.infer<typeof revokedSchema>>> => {
    await on.device(id);
    return revokedSchema.parse((await on.asAdmin('POST', `/v1/devices/${id}/revoke`, {})).body);
  };
  // The identity of the state folder exists from the start, and nobody has used it.
  t.like(await revokedBy(service, 'd1'), { brokers: 0, brokersAbsent: [] });
  const made = await service.asAdmin('POST', '/v1/services', {
    name: 'broker-2',
    role: 'broker',
    csr: csrOf('broker-2').pem,
    names: ['broker-2.example'],
  });
  t.is(made.status, 201);
  await writeFile(service.state.broker.directory, '');
  const again = await service.restart();
  t.like(await revokedBy(again, 'd2'), { brokers: 0, brokersAbsent: ['broker', 'broker-2'] });
  await again.device('d5');
  const suspended = await again.asAdmin('POST', '/v1/devices/d5/suspend', {});
  t.like(suspended.body, { brokersAsked: 0, brokersAbsent: ['broker', 'broker-2'] });
  const broker = await followFeed(t, again);
  broker.answering = () => 0;
  t.like(await revokedBy(again, 'd3'), { brokers: 1, brokersAbsent: ['broker-2'] });
  await again.asAdmin('POST', '/v1/devices/broker-2/revoke', {});
  t.like(await revokedBy(again, 'd4'), { brokers: 1, brokersAbsent: [] });
});

test('suspend locks a device out, resume ends that, delete removes it; brokers are notified of each', async (t) => {
  const service = await enrollService(t);
  const device = await service.device('d1');
  const broker = await followFeed(t, service);
  broker.answering = () => 0;
  const status = async (): Promise<number> =>
    (await service.call({ method: 'GET', path: '/v1/whoami', ...device.credential })).status;
  t.is((await service.asAdmin('POST', '/v1/devices/d1/suspend', {})).body['status'], 'suspended');
  t.is(await status(), 403);
  t.is((await service.asAdmin('POST', '/v1/devices/d1/resume', {})).body['status'], 'active');
  t.is(await status(), 200);
  t.is((await service.asAdmin('DELETE', '/v1/devices/d1')).status, 200);
  t.is(await status(), 403);
  await broker.line('the removal', (line) => line.type === 'removed' && line.id === 'd1');
  t.is((await service.asAdmin('GET', '/v1/devices/d1')).status, 404);
});

test('one call revokes a whole group', async (t) => {
  const service = await enrollService(t);
  for (const id of ['a', 'b']) {
    await service.device(id);
    await service.asAdmin('PATCH', `/v1/devices/${id}`, { group: 'hall 7' });
  }
  await service.device('c');
  const reply = await service.asAdmin('POST', '/v1/groups/hall%207/revoke', {});
  t.deepEqual(reply.body['devices'], ['a', 'b']);
  t.is((await service.asAdmin('GET', '/v1/devices/c')).body['status'], 'active');
  t.is((await service.asAdmin('GET', '/v1/devices/b')).body['status'], 'revoked');
});

test('presence comes from reports, and the first connection with a new certificate retires the old one', async (t) => {
  const service = await enrollService(t);
  const device = await service.device('d1');
  const broker = await followFeed(t, service);
  const renewed = replyOf(
    await service.call({
      method: 'POST',
      path: '/v1/renew',
      body: { csr: csrOf('d1').pem },
      ...device.credential,
    }),
  );
  t.is(renewed.status, 201);
  const states = async (): Promise<string[]> =>
    (
      (await service.asAdmin('GET', '/v1/devices/d1')).body['certificates'] as { status: string }[]
    ).map(({ status }) => status);
  t.deepEqual(await states(), ['active', 'active']);
  const seen = (serial: string, connected: boolean): Promise<unknown> =>
    broker.report({
      presence: [
        { id: 'd1' as never, connected, atMs: Date.now(), serial, remoteAddress: '10.0.0.1' },
      ],
    });
  await seen(device.issued.serial, true);
  t.deepEqual(await states(), ['active', 'active']);
  t.true((await service.asAdmin('GET', '/v1/devices/d1')).body['connected']);
  await seen(String(renewed.body['serial']), true);
  t.deepEqual(await states(), ['retired', 'active']);
  await until('the retired certificate is on the CRL', async () => {
    const { body } = await service.call({ method: 'GET', path: '/crl' });
    const issuer = readCertificate(splitPem(service.ca)[1]!);
    return (
      (await parseCrl(body, issuer)).revoked.get(device.issued.serial)?.reason === 'superseded'
    );
  });
  await seen(String(renewed.body['serial']), false);
  const shown = await service.asAdmin('GET', '/v1/devices/d1');
  t.false(shown.body['connected']);
  t.truthy(shown.body['lastSeenAt']);
  // A device that connects and leaves before the broker's next report is reported once, as not connected.
  const brief = await service.device('d2');
  const next = replyOf(
    await service.call({
      method: 'POST',
      path: '/v1/renew',
      body: { csr: csrOf('d2').pem },
      ...brief.credential,
    }),
  );
  const report = { connected: false, atMs: Date.now(), remoteAddress: '10.0.0.1' };
  await broker.report({
    presence: [{ id: 'd2' as never, serial: String(next.body['serial']), ...report }],
  });
  const { body } = await service.asAdmin('GET', '/v1/devices/d2');
  t.like(body, { connected: false, certificates: [{ status: 'retired' }, { status: 'active' }] });
  // The key of a broker may be stolen: names that it invents are not kept.
  const invented = { ...{ connected: true, atMs: Date.now(), serial: 'ab' }, remoteAddress: '' };
  await broker.report({ presence: [{ id: 'invented' as never, ...invented }] });
  const stats = await service.asAdmin('GET', '/v1/stats');
  t.like(stats.body, { devices: { connected: 0 } });
  const history = await service.asAdmin('GET', '/v1/devices/invented/history');
  t.deepEqual(history.body['entries'], []);
  // The retired certificate is not accepted, not even for a renewal.
  const again = await service.call({
    method: 'POST',
    path: '/v1/renew',
    body: { csr: csrOf('d1').pem },
    ...device.credential,
  });
  t.is(again.status, 403);
});

test('a service that runs in two places keeps both of its certificates', async (t) => {
  const service = await enrollService(t);
  const broker = await followFeed(t, service);
  const made = [csrOf('backend'), csrOf('backend')];
  const serials: string[] = [];
  for (const { pem } of made) {
    const reply = await service.asAdmin('POST', '/v1/services', {
      name: 'backend',
      role: 'service',
      csr: pem,
    });
    serials.push(String(reply.body['serial']));
  }
  for (const serial of serials) {
    await broker.report({
      presence: [
        { id: 'backend' as never, connected: true, atMs: 1, serial, remoteAddress: '10.0.0.1' },
      ],
    });
  }
  const shown = await service.asAdmin('GET', '/v1/devices/backend');
  t.deepEqual(
    (shown.body['certificates'] as { status: string }[]).map(({ status }) => status),
    ['active', 'active'],
  );
});

test('the reaction of a broker to an incident becomes permanent', async (t) => {
  const service = await enrollService(t);
  const device = await service.device('d1');
  const broker = await followFeed(t, service);
  const incident = {
    id: 'd1' as never,
    kind: 'clone' as const,
    atMs: 1,
    serial: device.issued.serial,
    addresses: ['10.0.0.1', '10.0.0.2'],
  };
  await broker.report({ incidents: [{ ...incident, reaction: 'log' }] });
  t.is((await service.asAdmin('GET', '/v1/devices/d1')).body['status'], 'active');
  await broker.report({ incidents: [{ ...incident, reaction: 'quarantine' }] });
  t.is((await service.asAdmin('GET', '/v1/devices/d1')).body['status'], 'quarantined');
  t.true((await service.audit()).some(({ action }) => action === 'incident-reported'));
});

test('an incident makes a status stricter, never milder, and the audit log contains the result', async (t) => {
  const service = await enrollService(t);
  await service.device('d1');
  const broker = await followFeed(t, service);
  const report = async (reaction: 'quarantine' | 'suspend'): Promise<unknown> => {
    const incident = { id: parseDeviceId('d1'), kind: 'clone', atMs: 1, serial: '0a' } as const;
    await broker.report({ incidents: [{ ...incident, addresses: ['10.0.0.1'], reaction }] });
    const { action, detail } = (await service.audit()).at(-1)!;
    const { status } = { status: undefined, ...detail };
    const { body } = await service.asAdmin('GET', '/v1/devices/d1');
    return [body['status'], action, status];
  };
  t.deepEqual(await report('quarantine'), ['quarantined', 'device-suspended', 'quarantined']);
  t.deepEqual(await report('quarantine'), ['quarantined', 'incident-reported', undefined]);
  t.deepEqual(await report('suspend'), ['suspended', 'device-suspended', 'suspended']);
  t.deepEqual(await report('quarantine'), ['suspended', 'incident-reported', undefined]);
  await service.asAdmin('POST', '/v1/devices/d1/revoke', { reason: 'unspecified' });
  t.deepEqual(await report('suspend'), ['revoked', 'incident-reported', undefined]);
});

async function openssl(
  t: Parameters<typeof runChild>[0],
  folder: string,
  args: string[],
): Promise<string> {
  const result = await runChild(t, '/usr/bin/openssl', args, { cwd: folder });
  return `${result.code} ${result.stdout}${result.stderr}`;
}

async function pkiFolder(
  t: Parameters<typeof tempFolder>[0],
  service: TestService,
): Promise<{ folder: string; issuer: string }> {
  const folder = join(tempFolder(t), 'x');
  await mkdir(folder);
  const [root, issuer] = service.ca.match(/-----BEGIN[^-]+-----[^-]+-----END[^-]+-----\n/g) ?? [];
  await writeFile(join(folder, 'root.pem'), root!);
  await writeFile(join(folder, 'issuer.pem'), issuer!);
  return { folder, issuer: issuer! };
}

test('openssl accepts the CRL, which contains the revoked certificate and not the valid one', async (t) => {
  if (debianTool(t, 'openssl') === undefined) return;
  const service = await enrollService(t);
  const good = await service.device('good');
  const bad = await service.device('bad');
  await service.asAdmin('POST', '/v1/devices/bad/revoke', { reason: 'keyCompromise' });
  const { folder } = await pkiFolder(t, service);
  const crl = await service.call({ method: 'GET', path: '/crl.pem' });
  t.is(
    (await service.call({ method: 'GET', path: '/crl' })).headers['content-type'],
    'application/pkix-crl',
  );
  await writeFile(join(folder, 'crl.pem'), crl.body);
  await writeFile(join(folder, 'good.pem'), good.issued.certificate);
  await writeFile(join(folder, 'bad.pem'), bad.issued.certificate);
  const verify = (leaf: string): Promise<string> =>
    openssl(t, folder, [
      ...['verify', '-x509_strict', '-purpose', 'sslclient', '-crl_check', '-CRLfile', 'crl.pem'],
      ...['-CAfile', 'root.pem', '-untrusted', 'issuer.pem', leaf],
    ]);
  t.is(await verify('good.pem'), '0 good.pem: OK\n');
  t.regex(await verify('bad.pem'), /^2 .*certificate revoked/s);
  t.regex(
    await openssl(t, folder, ['crl', '-in', 'crl.pem', '-CAfile', 'issuer.pem', '-noout', '-text']),
    /Key Compromise.*verify OK/s,
  );
  t.is(
    (await service.call({ method: 'GET', path: '/crl/all.pem' })).body.toString(),
    crl.body.toString(),
  );
  const root = await service.call({ method: 'GET', path: '/crl/root.pem' });
  t.true(crl.body.toString().endsWith(root.body.toString()));
  t.is(
    (
      await service.call({
        method: 'GET',
        path: `/crl/${service.service.ca.fingerprint.slice(7, 39)}`,
      })
    ).status,
    200,
  );
  // As commands and the API print it.
  const printed = service.service.ca.fingerprint;
  t.is((await service.call({ method: 'GET', path: `/crl/${printed}.pem` })).status, 200);
  t.is((await service.call({ method: 'GET', path: '/crl/0123456789abcdef' })).status, 404);
  const whole = [
    ...['verify', '-x509_strict', '-crl_check_all', '-CRLfile', 'crl.pem'],
    ...['-CAfile', 'root.pem', '-untrusted', 'issuer.pem'],
  ];
  t.is(await openssl(t, folder, [...whole, 'good.pem']), '0 good.pem: OK\n');
  t.regex(await openssl(t, folder, [...whole, 'bad.pem']), /^2 .*certificate revoked/s);
  await service.asAdmin('POST', '/v1/devices/good/suspend', {});
  await until('the hold on the CRL', async () => {
    const { body } = await service.call({ method: 'GET', path: '/crl.pem' });
    await writeFile(join(folder, 'crl.pem'), body);
    return (await verify('good.pem')).startsWith('2');
  });
});

test('openssl ocsp gets verified answers about issuers from a responder that the root has signed', async (t) => {
  if (debianTool(t, 'openssl') === undefined) return;
  const ocspUrl = 'http://pki.example.org/ocsp';
  let service = await enrollService(t, { config: { enroll: { ocspUrl } } });
  const { folder } = await pkiFolder(t, service);
  const { state } = service;
  const issuers = async (): Promise<string[]> => {
    const { body } = await service.asAdmin('GET', '/v1/issuers');
    return (body['issuers'] as { fingerprint: string }[]).map(({ fingerprint }) => fingerprint);
  };
  const writeIssuer = async (fingerprint: string): Promise<void> => {
    const digits = fingerprint.slice('sha256:'.length).slice(0, 16);
    await cp(join(state.ca.issuers, digits, 'cert.pem'), join(folder, 'asked.pem'));
  };
  /** What openssl says when it trusts the root and nothing else. */
  const ask = async (): Promise<string> => {
    const about = ['-issuer', 'root.pem', '-cert', 'asked.pem'];
    await openssl(t, folder, ['ocsp', ...about, '-reqout', 'req.der']);
    const { body } = await service.call({
      method: 'POST',
      path: '/ocsp',
      headers: { 'content-type': 'application/ocsp-request' },
      body: await readFile(join(folder, 'req.der')),
    });
    await writeFile(join(folder, 'resp.der'), body);
    const answer = ['ocsp', '-respin', 'resp.der', '-CAfile', 'root.pem'];
    const withNonce = await openssl(t, folder, [...answer, '-reqin', 'req.der']);
    return withNonce + (await openssl(t, folder, [...answer, ...about, '-no_nonce']));
  };
  const [first = ''] = await issuers();
  await writeIssuer(first);
  t.regex(await ask(), /Response verify OK.*asked\.pem: good/s);
  const added = await service.asAdmin('POST', '/v1/issuers', {});
  const second = String(added.body['fingerprint']);
  await service.asAdmin('POST', `/v1/issuers/${second}/withdraw`, { compromised: true });
  await cp(
    join(state.ca.withdrawn, second.slice('sha256:'.length).slice(0, 16), 'cert.pem'),
    join(folder, 'asked.pem'),
  );
  t.regex(await ask(), /Response verify OK.*asked\.pem: revoked.*cACompromise/s);
  const uri = await openssl(t, folder, ['x509', '-in', 'asked.pem', '-noout', '-ocsp_uri']);
  t.is(uri.trim(), `0 ${ocspUrl}`);

  const rootKey = await readFile(state.ca.rootKey, 'utf8');
  service = await service.restart({}, async () => {
    await rm(state.ca.rootOcsp, { recursive: true });
    await rm(state.ca.rootKey);
  });
  await writeIssuer(first);
  t.regex(await ask(), /unauthorized \(6\)/);
  const passphrase = (await readFile(state.ca.passphrase, 'utf8')).trim();
  const request = await requestResponder(state, passphrase);
  // On the machine of the root.
  await writeFile(state.ca.rootKey, rootKey, { mode: 0o600 });
  const deps = { clock: systemClock };
  const signed = await signResponderRequest(state, passphrase, deps, request);
  const root = readCertificate(await readFile(state.ca.rootCert, 'utf8'));
  await rm(state.ca.rootKey);
  const forged = service.admin.cert;
  const refused = await t.throwsAsync(importResponder(state, passphrase, forged));
  t.true(isFlotillaError(refused, 'ca-certificate-invalid'));
  await importResponder(state, passphrase, signed.pem);
  service = await service.restart();
  t.regex(await ask(), /Response verify OK.*asked\.pem: good/s);
  await changePassphrase(state, { from: passphrase, to: 'another one', store: true });
  t.truthy(await openRootResponder(state, 'another one', root));
});

test('openssl ocsp gets good, revoked and unknown by POST, with the nonce', async (t) => {
  if (debianTool(t, 'openssl') === undefined) return;
  const service = await enrollService(t);
  const good = await service.device('good');
  const bad = await service.device('bad');
  await service.asAdmin('POST', '/v1/devices/bad/revoke', { reason: 'superseded' });
  const { folder } = await pkiFolder(t, service);
  await writeFile(join(folder, 'good.pem'), good.issued.certificate);
  await writeFile(join(folder, 'bad.pem'), bad.issued.certificate);
  // openssl supports OCSP over HTTP only: request and response are exchanged as files.
  const ask = async (what: string[]): Promise<string> => {
    const made = await openssl(t, folder, [
      'ocsp',
      '-issuer',
      'issuer.pem',
      ...what,
      '-reqout',
      'req.der',
    ]);
    t.true(made.startsWith('0'), made);
    const answer = await service.call({
      method: 'POST',
      path: '/ocsp',
      headers: { 'content-type': 'application/ocsp-request' },
      body: await readFile(join(folder, 'req.der')),
    });
    t.is(answer.headers['content-type'], 'application/ocsp-response');
    await writeFile(join(folder, 'resp.der'), answer.body);
    const byGet = await service.call({
      method: 'GET',
      path: `/ocsp/${encodeURIComponent((await readFile(join(folder, 'req.der'))).toString('base64'))}`,
    });
    t.is(byGet.status, 200);
    // Verifies signature, chain and nonce against the request that was sent.
    const trust = ['-CAfile', 'root.pem', '-verify_other', 'issuer.pem'];
    const verified = await openssl(t, folder, [
      ...['ocsp', '-reqin', 'req.der', '-respin', 'resp.der', ...trust],
    ]);
    t.regex(verified, /^0 .*Response verify OK/s);
    t.notRegex(verified, /nonce/i);
    return openssl(t, folder, [
      ...['ocsp', '-issuer', 'issuer.pem', ...what, '-no_nonce', '-respin', 'resp.der', ...trust],
    ]);
  };
  t.regex(await ask(['-cert', 'good.pem']), /good\.pem: good/);
  t.regex(await ask(['-cert', 'bad.pem']), /revoked.*superseded/s);
  t.regex(await ask(['-serial', '0x1234']), /unknown/);
  const big = await service.call({
    method: 'POST',
    path: '/ocsp',
    headers: { 'content-type': 'application/ocsp-request' },
    body: Buffer.alloc(1024 * 1024),
  });
  t.is(big.status, 413);
});
