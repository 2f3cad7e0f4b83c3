import test from 'ava';
import { readFile } from 'node:fs/promises';
import { hash } from 'node:crypto';
import { Agent } from 'node:https';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { connect } from 'node:tls';
import { parseCrl } from '../../certs/crl.ts';
import { readCertificate, splitPem, type CertificateFacts } from '../../certs/certificate.ts';
import { decodeDer } from '../../certs/der.ts';
import { octetString, oid, sequence, unsignedInteger } from '../../certs/der-encode.ts';
import { oids } from '../../certs/oids.ts';
import { readSpkiBytes } from '../../certs/public-key.ts';
import { parseDeviceId } from '../../core/device-id.ts';
import { silentLog } from '../../core/log.ts';
import { identityFiles } from '../../core/state-folder.ts';
import { textFile } from '../../core/stored-text.ts';
import { CertificateAuthority } from '../../enroll/ca/certificate-authority.ts';
import { openCa } from '../../enroll/ca/ca-folder.ts';
import { readPassphrase } from '../../enroll/ca/passphrase.ts';
import type { FeedPeer } from '../../enroll/feed/directory-entry.ts';
import { Feed } from '../../enroll/feed/directory-feed.ts';
import { AheadBrokers } from '../../enroll/feed/ahead-brokers.ts';
import { Lineage, lineageFile } from '../../enroll/registry/lineage.ts';
import { openLowdbRegistry } from '../../enroll/registry/lowdb-registry.ts';
import { deviceRow } from '../contract/registry.ts';
import { enrollService } from '../support/enroll-service.ts';
import { fakeClock } from '../support/fake-clock.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { until } from '../support/until.ts';

const dayMs = 86_400_000;

test('a CRL is signed again at half of its validity, with a higher number', async (t) => {
  const clock = fakeClock(Date.now());
  const service = await enrollService(t, { clock, config: { enroll: { crlValidity: '2h' } } });
  const issuer = readCertificate(splitPem(service.ca)[1]!);
  const list = async (): Promise<Awaited<ReturnType<typeof parseCrl>>> =>
    parseCrl((await service.call({ method: 'GET', path: '/crl' })).body, issuer);
  const first = await list();
  t.is(first.nextUpdateMs - first.thisUpdateMs, 7_200_000);
  for (let hours = 0; hours < 3; hours++) {
    const before = await list();
    clock.advance(3_600_001);
    await until('a new list', async () => (await list()).number > before.number);
    const { nextUpdateMs } = await list();
    t.true(nextUpdateMs - clock.now() > 3_600_000);
  }
});

test('after the clock was set, certificates and CRLs follow within a minute, in both directions', async (t) => {
  // The clients of this test live in the real time, to which the first jump leads.
  const clock = fakeClock(Date.now() + 70 * dayMs);
  const service = await enrollService(t, { clock });
  const issuer = readCertificate(splitPem(service.ca)[1]!);
  const services = readCertificate(splitPem(service.ca)[2]!);
  const { cert } = identityFiles(service.state.enroll.tls);
  const admin = identityFiles(service.state.admin).cert;
  for (const jumpDays of [-70, 70]) {
    clock.jump(jumpDays * dayMs);
    clock.advance(60_000);
    for (const path of [cert, admin]) {
      const renewed = await until('a certificate that is valid now', async () => {
        const facts = readCertificate(await readFile(path, 'utf8'));
        const isNew =
          facts.notBeforeMs <= clock.now() && facts.notAfterMs > clock.now() + 80 * dayMs;
        return isNew ? facts : false;
      });
      t.true(renewed.x509.verify(services.x509.publicKey));
    }
    if (jumpDays > 0) continue;
    await until('a CRL of now', async () => {
      // The certificate in the file is used a moment later.
      const answer = await service.call({ method: 'GET', path: '/crl' }).catch(() => undefined);
      if (answer === undefined) return false;
      const { thisUpdateMs, nextUpdateMs } = await parseCrl(answer.body, issuer);
      return thisUpdateMs <= clock.now() && nextUpdateMs > clock.now();
    });
  }
});

test('a running service renews the certificates in its state folder, and no client is locked out', async (t) => {
  const clock = fakeClock(Date.now());
  const service = await enrollService(t, { clock });
  const path = identityFiles(service.state.admin).cert;
  const startMs = clock.now();
  const before = await readFile(path, 'utf8');
  const brokerBefore = await readFile(identityFiles(service.state.broker.identity).cert, 'utf8');
  clock.jump(30 * dayMs);
  clock.advance(3_600_001);
  t.is(await readFile(path, 'utf8'), before, 'not before its time');
  await until('a new certificate for each', async () => {
    if (clock.now() < startMs + 65 * dayMs) clock.jump(35 * dayMs);
    clock.advance(3_600_001);
    const broker = await readFile(identityFiles(service.state.broker.identity).cert, 'utf8');
    return (await readFile(path, 'utf8')) !== before && broker !== brokerBefore;
  });
  const again = await service.asAdmin('GET', '/v1/devices/admin');
  t.is(again.status, 200, 'the old one is good to its end');
  t.is((again.body['certificates'] as unknown[]).length, 2);
});

test('certificates of the services that are valid for a minute are renewed in time, and not at each check', async (t) => {
  const clock = fakeClock(Date.now());
  const config = { enroll: { serverCertificateValidity: '60s' } };
  const service = await enrollService(t, { clock, config });
  const path = identityFiles(service.state.enroll.tls).cert;
  const certificate = async (): Promise<CertificateFacts> =>
    readCertificate(await readFile(path, 'utf8'));
  // The one in the folder was made with the default validity.
  clock.jump(80 * dayMs);
  clock.advance(5001);
  const first = await until('a certificate for a minute', async () => {
    const found = await certificate();
    return found.notAfterMs <= clock.now() + 60_000 && found;
  });
  const renewed = await until('a new certificate before the end', async () => {
    if (clock.now() < first.notAfterMs - 10_000) clock.advance(5000);
    const found = await certificate();
    return found.serial !== first.serial && found;
  });
  t.true(clock.now() < first.notAfterMs);
  t.true(renewed.notBeforeMs - first.notBeforeMs >= 39_000);
});

test('three years without a restart: every certificate of the service, its CRL and its OCSP answers stay fresh', async (t) => {
  const clock = fakeClock(Date.now());
  const service = await enrollService(t, { clock });
  const { state } = service;
  const folders = [state.admin, state.broker.identity, state.enroll.tls];
  const certificateIn = async (folder: string): Promise<CertificateFacts> =>
    readCertificate(await readFile(identityFiles(folder).cert, 'utf8'));
  const isFreshNow = async (folder: string): Promise<boolean> => {
    const { notBeforeMs, notAfterMs } = await certificateIn(folder);
    return notAfterMs - clock.now() > (notAfterMs - notBeforeMs) / 4;
  };
  // One connection for the whole test: a new certificate must not close connections.
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.teardown(() => agent.destroy());
  const sockets = new Set<number | undefined>();
  const get = async (path: string): Promise<Buffer> => {
    const { status, body } = await service.call({ method: 'GET', path, agent });
    t.is(status, 200);
    for (const open of Object.values(agent.freeSockets).flat()) sockets.add(open?.localPort);
    return body;
  };
  const issuer = readCertificate(splitPem(service.ca)[1]!);
  const serial = (await certificateIn(state.admin)).serial;
  const question = ocspQuestion(issuer, serial);
  const serials = folders.map(() => new Set<string>());
  const responders = new Set<string>();
  let number = 0n;
  const startMs = clock.now();
  for (let step = 0; clock.now() < startMs + 3 * 365.25 * dayMs; step++) {
    clock.advance(10 * dayMs);
    await until(`step ${step}: every certificate is fresh`, async () => {
      const fresh = await Promise.all(folders.map(isFreshNow));
      return fresh.every(Boolean);
    });
    for (const [at, folder] of folders.entries()) {
      serials[at]!.add((await certificateIn(folder)).serial);
    }
    const crl = await until(`step ${step}: a list of now`, async () => {
      const list = await parseCrl(await get('/crl'), issuer);
      return list.nextUpdateMs > clock.now() && list.number > number ? list : undefined;
    });
    number = crl.number;
    const answer = await get(`/ocsp/${encodeURIComponent(question.toString('base64'))}`);
    const responder = responderOf(answer);
    t.true(responder.notBeforeMs <= clock.now() && clock.now() < responder.notAfterMs);
    responders.add(responder.serial);
  }
  t.is(sockets.size, 1, 'no connection was dropped');
  t.true(
    serials.every(({ size }) => size >= 15),
    serials.map(({ size }) => size).join(' '),
  );
  t.true(responders.size >= 100, String(responders.size));
  // TLS uses the certificate in the folder.
  const shown = await new Promise<string>((resolve, reject) => {
    const { host, port } = service.service.addresses.https;
    const socket = connect({ host, port, rejectUnauthorized: false }, () => {
      resolve(readCertificate(socket.getPeerX509Certificate()!).serial);
      socket.destroy();
    });
    socket.on('error', reject);
  });
  t.is(shown, (await certificateIn(state.enroll.tls)).serial);
});

test('a broker that does not read is disconnected, and a snapshot delays no other broker', async (t) => {
  const service = await enrollService(t);
  const { state } = service;
  await service.service.close();
  const clock = fakeClock();
  const opened = await openCa(state, await readPassphrase(state, {}), { clock });
  const registry = await openLowdbRegistry(`${tempFolder(t)}/registry`, {
    clock,
    log: silentLog,
    sink: () => Promise.resolve(),
  });
  t.teardown(() => registry.close());
  const lineage = await Lineage.begin(textFile(join(tempFolder(t), lineageFile)), {
    from: 0,
    audited: 0,
    nowMs: clock.now(),
  });
  const audit = { append: () => Promise.resolve() };
  const feed = new Feed({
    ahead: new AheadBrokers({ audit, lineage, log: silentLog, registry }),
    registry,
    ca: new CertificateAuthority(opened),
    clock,
    log: silentLog,
    graceMs: 0,
    changesKeptMax: 50,
    lagMaxBytes: 64 * 1024,
  });
  t.teardown(() => feed.close());
  const put = (id: string): Promise<number> =>
    registry.commit({ puts: [{ table: 'devices', record: deviceRow(id), expected: 0 }] });
  const reading = new PassThrough();
  let text = '';
  reading.on('data', (chunk: Buffer) => (text += chunk.toString()));
  const stuck = new PassThrough({ highWaterMark: 1024 });
  const peer = (id: string): FeedPeer => ({
    broker: parseDeviceId(id),
    fingerprint: 'sha256:00',
    notAfterMs: Number.MAX_SAFE_INTEGER,
  });
  await feed.serve(peer('b1'), reading, undefined);
  await feed.serve(peer('b2'), stuck, undefined);
  t.is(feed.brokers.length, 2);
  for (let at = 0; at < 400; at++) await put(`d${at}`);
  await until('the silent one is gone', () => stuck.destroyed);
  t.false(reading.destroyed);
  t.is(text.split('\n').filter((line) => line.includes('"change"')).length, 400);
  // Too far behind for the changes that are kept: gets a snapshot.
  const late = new PassThrough();
  let lines = '';
  late.on('data', (chunk: Buffer) => (lines += chunk.toString()));
  await feed.serve(peer('b3'), late, { epoch: feed.epoch, since: 1 });
  t.true(lines.includes('snapshot-end'));
  const near = new PassThrough();
  let changes = '';
  near.on('data', (chunk: Buffer) => (changes += chunk.toString()));
  await feed.serve(peer('b4'), near, { epoch: feed.epoch, since: feed.sequence - 3 });
  t.false(changes.includes('snapshot'));
  t.is(changes.split('\n').filter((line) => line.includes('"change"')).length, 3);
});

function ocspQuestion({ subject, spki }: CertificateFacts, serial: string): Buffer {
  const { keyBits } = readSpkiBytes(spki);
  const id = sequence(
    sequence(oid(oids.sha256)),
    octetString(hash('sha256', subject, 'buffer')),
    octetString(hash('sha256', keyBits, 'buffer')),
    unsignedInteger(Buffer.from(serial, 'hex')),
  );
  return sequence(sequence(sequence(sequence(id))));
}

/** The certificate in an OCSPResponse (RFC 6960, 4.2.1). */
function responderOf(answer: Buffer): CertificateFacts {
  const response = decodeDer(answer, limits).children[1]!.children[0]!.children[1]!;
  const certificates = decodeDer(response.content, limits).children[3]!;
  return readCertificate(certificates.children[0]!.children[0]!.der);
}

const limits = { maxBytes: 16 * 1024 };
