import test from 'ava';
import { readFile } from 'node:fs/promises';
import { splitPem, readCertificate } from '../../certs/certificate.ts';
import { parseCrl } from '../../certs/crl.ts';
import { createCsr } from '../../certs/csr.ts';
import { generateKeySync, privateKeyPem } from '../../certs/key.ts';
import { withdrawnIssuerSchema } from '../../core/protocol/ca-status.ts';
import { issuedSchema } from '../../core/protocol/enrollment-api.ts';
import { loadIdentity } from '../../core/identity-folder.ts';
import { identityFiles } from '../../core/state-folder.ts';
import { connectPacket, untilClosed } from '../support/broker-world.ts';
import { replyOf, type Reply } from '../support/enroll-service.ts';
import { fleetWorld, type FleetWorld, type Shown } from '../support/fleet-world.ts';
import { until } from '../support/until.ts';

async function asAdmin(
  { enroll }: FleetWorld,
  method: 'GET' | 'POST',
  path: string,
  body?: object,
): Promise<Reply> {
  // The certificate of the administrator is replaced with its issuer.
  const { chain: cert, key } = await loadIdentity(enroll.state.admin);
  const sent = body === undefined ? {} : { body };
  return replyOf(await enroll.call({ method, path, cert, key, ...sent }));
}

async function withdraw(world: FleetWorld, fingerprint: string) {
  const path = `/v1/issuers/${encodeURIComponent(fingerprint)}/withdraw`;
  const { status, body } = await asAdmin(world, 'POST', path, { compromised: true });
  return { status, done: withdrawnIssuerSchema.parse(body) };
}

function renewal({ enroll }: FleetWorld, shown: Shown, commonName: string) {
  const key = generateKeySync('p256');
  const { pem: csr } = createCsr({ key, commonName });
  return {
    key: privateKeyPem(key),
    reply: enroll
      .call({ method: 'POST', path: '/v1/renew', body: { csr }, ...shown })
      .then(replyOf),
  };
}

test('a compromised issuer of devices is withdrawn at once, and its devices may renew if an operator allows it', async (t) => {
  const world = await fleetWorld(t, {
    // The profile accepts no renewal yet; that does not count for a withdrawn issuer.
    config: { enroll: { renewWithdrawn: true, profiles: { default: { renewalPart: 0.1 } } } },
  });
  const { state } = world.enroll;
  const device = await world.device('d1');
  const backend = await world.backend('backend');
  const live = await world.mqtt(device, { clientId: 'd1' });
  const listener = await world.mqtt(backend, { clientId: 'backend' });
  const old = readCertificate(await readFile(state.ca.issuerCert, 'utf8'));
  const ended = new Promise<void>((resolve) => live.once('close', () => resolve()));

  const { status, done } = await withdraw(world, old.fingerprint);
  t.is(status, 200);
  t.like(done, { connectionsClosed: 1, brokers: 1, brokersLate: 0, certificates: 1 });
  await ended;
  t.true(listener.connected, 'the backend has a certificate of the other issuer');
  // The certificate is genuine, its chain is complete, and the directory contains it.
  const again = await world.tls(device, '127.0.0.9').catch(() => undefined);
  again?.write(connectPacket('d1'));
  if (again !== undefined) t.is((await untilClosed(again)).length, 0);
  await until('the refusal is in the audit log', async () =>
    (await world.audit()).some(({ detail }) => detail?.['code'] === 'certificate-issuer-withdrawn'),
  );
  const root = readCertificate(await readFile(state.ca.rootCert, 'utf8'));
  const list = await world.enroll.call({ method: 'GET', path: '/crl/root' });
  const { revoked } = await parseCrl(list.body, root);
  t.is(revoked.get(old.serial)?.reason, 'cACompromise');
  const bundle = String((await world.enroll.call({ method: 'GET', path: '/v1/ca' })).body);
  t.false(bundle.includes(old.pem.split('\n')[3]!), 'nobody gets it any more');

  const shown = await asAdmin(world, 'GET', '/v1/devices/d1');
  t.like(shown.body, { status: 'active', certificates: [{ status: 'withdrawn' }] });
  const whoami = { method: 'GET', path: '/v1/whoami', ...device } as const;
  t.like(replyOf(await world.enroll.call(whoami)), {
    status: 403,
    body: { code: 'client-certificate-withdrawn' },
  });
  const info = { method: 'GET', path: '/v1/renewal-info', ...device } as const;
  t.like(replyOf(await world.enroll.call(info)), {
    status: 200,
    body: { renewInSeconds: 0, reason: 'issuer-withdrawn' },
  });
  const { reply, key } = renewal(world, device, 'd1');
  const issued = issuedSchema.parse((await reply).body);
  t.is(readCertificate(splitPem(issued.chain)[1]!).fingerprint, done.replacements[0]!);
  await world.inForce('d1', ({ certificates }) =>
    certificates.some(({ serial }) => serial === issued.serial),
  );
  const next = await world.mqtt({ cert: issued.chain, key }, { clientId: 'd1' });
  t.true(next.connected);
});

test('without that permission, a device of a withdrawn issuer needs a new token', async (t) => {
  const world = await fleetWorld(t);
  const device = await world.device('d1');
  await withdraw(world, world.issuer.certificate.fingerprint);
  t.like(await renewal(world, device, 'd1').reply, {
    status: 403,
    body: { code: 'client-certificate-withdrawn' },
  });
  t.truthy(await world.device('d1'));
});

test('a compromised issuer of services is withdrawn: service, administrator and broker get new certificates', async (t) => {
  const world = await fleetWorld(t);
  const { state } = world.enroll;
  const device = await world.device('d1');
  const backend = await world.backend('backend');
  const live = await world.mqtt(device, { clientId: 'd1' });
  const listener = await world.mqtt(backend, { clientId: 'backend' });
  const ended = new Promise<void>((resolve) => listener.once('close', () => resolve()));
  const old = readCertificate(await readFile(state.ca.serviceCert, 'utf8'));
  const { done } = await withdraw(world, old.fingerprint);
  await ended;
  t.like(
    done,
    { brokers: 1, brokersLate: 0 },
    'the certificate of the broker is of the same issuer',
  );
  t.true(live.connected);
  for (const folder of [state.admin, state.broker.identity, state.enroll.tls]) {
    await until(`${folder} is of the new issuer`, async () => {
      const chain = await readFile(identityFiles(folder).chain, 'utf8');
      return readCertificate(splitPem(chain)[1]!).fingerprint === done.replacements[0];
    });
  }
  // The broker uses it, and receives changes of the directory.
  const token = await asAdmin(world, 'POST', '/v1/tokens', { device: 'd2' });
  const csr = createCsr({ key: generateKeySync('p256'), commonName: 'd2' }).pem;
  const enrolled = await world.enroll.enroll('d2', csr, String(token.body['token']));
  t.is(enrolled.status, 201);
  await world.inForce('d2', () => true);
  t.like(replyOf(await world.enroll.call({ method: 'GET', path: '/v1/whoami', ...backend })), {
    body: { code: 'client-certificate-withdrawn' },
  });
});
