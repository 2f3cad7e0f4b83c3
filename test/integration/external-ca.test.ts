import test from 'ava';
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readCertificate, splitPem } from '../../certs/certificate.ts';
import { privateKeyPem } from '../../certs/key.ts';
import { issuedSchema } from '../../core/protocol/enrollment-api.ts';
import { caStatusSchema } from '../../core/protocol/ca-status.ts';
import { stateFolder } from '../../core/state-folder.ts';
import { flotilla } from '../support/cli.ts';
import { csrOf, enrollService, enrollServiceOn, replyOf } from '../support/enroll-service.ts';
import { tempFolder } from '../support/temp-folder.ts';

test('another Flotilla signs the certificates of devices over EST: enrollment, renewal, revocation, and its absence', async (t) => {
  const folder = tempFolder(t);
  const file = (name: string, content: string): string => {
    writeFileSync(join(folder, name), content, { mode: 0o600 });
    return join(folder, name);
  };
  const company = await enrollService(t);
  const group = await company.asAdmin('POST', '/v1/tokens/group', {
    ...{ group: 'plant', uses: 1000, reenrolls: true },
  });
  const state = stateFolder(join(folder, 'state'));
  mkdirSync(state.root, { mode: 0o700 });
  const run = async (...args: string[]): Promise<void> => {
    const done = await flotilla(args);
    t.is(done.code, 0, `${args.join(' ')}: ${done.stderr}`);
  };
  const request = join(folder, 'service.csr');
  const chain = join(folder, 'service.pem');
  const here = ['--state', state.root];
  await run('root', 'import', company.state.ca.rootCert, ...here);
  await run('issuer', 'request', '--purpose', 'services', '--out', request, ...here);
  const there = ['--state', company.state.root];
  await run('root', 'sign', request, '--purpose', 'services', '--out', chain, ...there);
  await run('issuer', 'import', chain, ...here);
  await run('issuer', 'import', company.state.ca.issuerCert, '--external', ...here);

  copyFileSync(company.state.ca.rootCrl, state.ca.rootCrl);

  const externalCa = {
    url: `${company.url}/.well-known/est`,
    caFile: file('company.pem', company.ca),
    credentialsFile: file('token', `:${String(group.body['token'])}\n`),
  };
  const plant = await enrollServiceOn(t, state, { config: { enroll: { externalCa } } });
  const device = await plant.device('d1');
  const [leaf, issuer] = splitPem(device.issued.chain).map((pem) => readCertificate(pem));
  const root = readCertificate(company.ca.slice(0, company.ca.indexOf('-----END') + 26));
  t.is(issuer?.fingerprint, readCertificate(splitPem(company.ca)[1]!).fingerprint);
  t.is(readCertificate(splitPem(device.issued.ca)[0]!).fingerprint, root.fingerprint);
  const whoami = { method: 'GET', path: '/v1/whoami' } as const;
  t.is(replyOf(await plant.call({ ...whoami, ...device.credential })).status, 200);
  const known = await company.asAdmin('GET', '/v1/devices/d1');
  t.like(known.body, { group: 'plant', certificates: [{ serial: leaf?.serial }] });

  const next = csrOf('d1');
  const renew = { method: 'POST', path: '/v1/renew', ...device.credential } as const;
  const renewed = replyOf(await plant.call({ ...renew, body: { csr: next.pem } }));
  t.is(renewed.status, 201, JSON.stringify(renewed.body));
  const issued = issuedSchema.parse(renewed.body);
  t.not(issued.serial, device.issued.serial);
  const second = { cert: issued.chain, key: privateKeyPem(next.key) };
  t.is(replyOf(await plant.call({ ...whoami, ...second })).status, 200);

  // The CA publishes the lists of its issuer. This service refuses the certificate at once.
  t.is((await plant.call({ method: 'GET', path: '/crl' })).status, 404);
  t.is((await company.call({ method: 'GET', path: '/crl' })).status, 200);
  t.is((await plant.asAdmin('POST', '/v1/devices/d1/revoke', {})).status, 200);
  t.is(replyOf(await plant.call({ ...whoami, ...second })).status, 403);
  const authorities = await plant.asAdmin('GET', '/v1/ca/status');
  const { ok, issuers } = caStatusSchema.parse(authorities.body);
  t.true(ok, JSON.stringify(authorities.body));
  t.deepEqual(issuers.map(({ purpose, key }) => `${purpose}: ${key}`).sort(), [
    'devices: external',
    'services: file',
  ]);

  // Without the CA, nothing is issued or used up, and the service goes on.
  await company.service.close();
  const { token } = await plant.token('d2');
  const { pem } = csrOf('d2');
  const waiting = await plant.enroll('d2', pem, token);
  t.like(waiting, { status: 503, body: { code: 'external-ca-unavailable' } });
  t.is(waiting.headers['retry-after'], '30');
  t.is((await plant.asAdmin('GET', '/v1/devices/d2')).status, 404);
  t.is(replyOf(await plant.call({ method: 'GET', path: '/v1/ca' })).status, 200);
});
