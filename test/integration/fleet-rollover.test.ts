import test from 'ava';
import { readFile } from 'node:fs/promises';
import { generateKeySync, privateKeyPem } from '../../certs/key.ts';
import { createCsr } from '../../certs/csr.ts';
import { readCertificate, splitPem } from '../../certs/certificate.ts';
import { issuedSchema } from '../../core/protocol/enrollment-api.ts';
import { identityFiles } from '../../core/state-folder.ts';
import { loadIdentity } from '../../core/identity-folder.ts';
import { DirectoryFile } from '../../broker/feed/directory-file.ts';
import { connectPacket, untilClosed } from '../support/broker-world.ts';
import { replyOf } from '../support/enroll-service.ts';
import { fakeClock } from '../support/fake-clock.ts';
import { fleetWorld, type Shown } from '../support/fleet-world.ts';
import { until } from '../support/until.ts';

const minuteMs = 60_000;

test('a second issuer is added, the fleet renews, the first issuer is removed, and no connection is closed', async (t) => {
  const clock = fakeClock(Date.now());
  const world = await fleetWorld(t, {
    config: {
      // The certificate of the broker stays valid when the clock is advanced, so that its feed can reconnect.
      enroll: { certificateValidity: '90d', serverCertificateValidity: '365d', renewGrace: '1m' },
    },
    enrollClock: clock,
  });
  const { enroll } = world;
  const { state } = enroll;
  const admin = async (method: 'GET' | 'POST' | 'DELETE', path: string, sent = {}) => {
    const { chain: cert, key } = await loadIdentity(state.admin);
    const body = method === 'POST' ? { body: sent } : {};
    return replyOf(await enroll.call({ method, path, cert, key, ...body }));
  };
  const trusted = async (): Promise<number> =>
    (await new DirectoryFile(state.broker.directory).read())?.authorities.length ?? 0;
  const published = async (): Promise<number> =>
    splitPem(String(replyOf(await enroll.call({ method: 'GET', path: '/v1/ca' })).body['ca']))
      .length;
  const keyBefore = await readFile(identityFiles(state.admin).key, 'utf8');
  const [old, oldServices] = (await admin('GET', '/v1/issuers')).body['issuers'] as {
    fingerprint: string;
  }[];
  const retire = async (which = old): Promise<unknown> =>
    admin('DELETE', `/v1/issuers/${which!.fingerprint}`);
  const device = await world.device('d1');
  const backend = await world.backend('backend');
  const listener = await world.mqtt(backend, { clientId: 'backend' });
  const live = await world.mqtt(device, { clientId: 'd1' });
  let closed = 0;
  for (const client of [live, listener]) client.on('close', () => closed++);

  // Certificates are valid from five minutes in the past, so these are also valid at the time of TLS.
  clock.advance(4 * minuteMs);
  const made = await admin('POST', '/v1/issuers');
  t.is(made.status, 201, JSON.stringify(made.body));
  t.is(await published(), 3, 'root and both issuers of devices');
  const services = await admin('POST', '/v1/issuers', { purpose: 'services' });
  t.is(services.status, 201, JSON.stringify(services.body));
  const next = String(services.body['fingerprint']);
  await until('the broker trusts all', async () => (await trusted()) === 5);
  const issuerOf = async (path: string): Promise<string> =>
    readCertificate(splitPem(await readFile(path, 'utf8'))[1]!).fingerprint;
  for (const folder of [state.admin, state.broker.identity, state.enroll.tls]) {
    await until(`${folder} is of the new issuer`, async () => {
      return (await issuerOf(identityFiles(folder).chain)) === next;
    });
  }
  // A program that opens key.pem and then chain.pem always reads a matching pair.
  t.is(await readFile(identityFiles(state.admin).key, 'utf8'), keyBefore);
  t.like(await retire(), { status: 409, body: { code: 'issuer-in-use' } });

  const renewed = async (shown: Shown, id: string): Promise<Shown> => {
    const key = generateKeySync('p256');
    const csr = createCsr({ key, commonName: id }).pem;
    const call = { method: 'POST', path: '/v1/renew', body: { csr }, ...shown } as const;
    const issued = issuedSchema.parse(replyOf(await enroll.call(call)).body);
    await world.inForce(id, ({ certificates }) =>
      certificates.some(({ serial }) => serial === issued.serial),
    );
    return { cert: issued.chain, key: privateKeyPem(key) };
  };
  const deviceNext = await renewed(device, 'd1');
  const backendNext = await renewed(backend, 'backend');
  t.is(closed, 0, 'no connection was closed');
  // They start to use their new certificates at different times.
  await Promise.all([live.endAsync(), listener.endAsync()]);
  const live2 = await world.mqtt(deviceNext, { clientId: 'd1' });
  const listener2 = await world.mqtt(backendNext, { clientId: 'backend' });
  closed = 0;
  for (const client of [live2, listener2]) client.on('close', () => closed++);
  await until('the old certificate of the device is retired', async () => {
    const { body } = await admin('GET', '/v1/devices/d1');
    const states = (body['certificates'] as { status: string }[]).map(({ status }) => status);
    return states.join(' ') === 'retired active';
  });

  t.like(await retire(), { status: 204 }, 'no device needs it');
  // Certificates of services stay valid and may renew until they expire.
  const inUse = { status: 409, body: { code: 'issuer-in-use' } };
  t.like(await retire(oldServices), inUse);
  const backendEndMs = readCertificate(splitPem(backend.cert)[0]!).notAfterMs;
  clock.jump(backendEndMs - clock.now() + 1000);
  t.like(await retire(oldServices), inUse, 'in the grace period');
  clock.jump(2 * minuteMs);
  t.is(await published(), 2);
  await until('the broker trusts one of each', async () => (await trusted()) === 4);

  // Messages are delivered during and after the rollover.
  const heard = new Promise<string>((resolve) =>
    listener2.on('message', (topic) => resolve(topic)),
  );
  await listener2.subscribeAsync('devices/d1/#', { qos: 1 });
  await live2.publishAsync('devices/d1/hello', 'x', { qos: 1 });
  t.is(await heard, 'devices/d1/hello');
  t.is(closed, 0, 'no connection was closed');
  const refused = await world.tls(device, '127.0.0.7').catch(() => undefined);
  refused?.write(connectPacket('d1'));
  if (refused !== undefined) t.is((await untilClosed(refused)).length, 0);
  const who = await enroll.call({ method: 'GET', path: '/v1/whoami', ...device });
  t.is(who.status, 403, 'a certificate of the retired issuer');
  t.is((await enroll.call({ method: 'GET', path: '/v1/whoami', ...deviceNext })).status, 200);
  const crl = await enroll.call({ method: 'GET', path: `/crl/${old!.fingerprint.slice(7, 23)}` });
  t.is(crl.status, 404);
});
