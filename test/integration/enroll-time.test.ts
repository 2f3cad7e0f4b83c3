import test from 'ava';
import { readFile } from 'node:fs/promises';
import { PassThrough } from 'node:stream';
import { parseCrl } from '../../certs/crl.ts';
import { readCertificate, splitPem } from '../../certs/certificate.ts';
import { parseDeviceId } from '../../core/device-id.ts';
import { silentLog } from '../../core/log.ts';
import { identityFiles } from '../../core/state-folder.ts';
import { CertificateAuthority } from '../../enroll/ca/certificate-authority.ts';
import { openCa } from '../../enroll/ca/ca-folder.ts';
import { readPassphrase } from '../../enroll/ca/passphrase.ts';
import { Feed } from '../../enroll/feed/feed.ts';
import { openLowdbRegistry } from '../../enroll/registry/lowdb-registry.ts';
import { deviceRow } from '../contract/registry.ts';
import { enrollService } from '../support/enroll-service.ts';
import { fakeClock } from '../support/fake-clock.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { until } from '../support/until.ts';

const dayMs = 86_400_000;

test('a CRL is signed anew at half of its time, with a higher number', async (t) => {
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

test('a service that runs on renews what its state folder holds, and nobody is locked out', async (t) => {
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

test('a broker that does not read is cut off, and a snapshot holds nobody up', async (t) => {
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
  const feed = new Feed({
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
  await feed.serve(parseDeviceId('b1'), reading, undefined);
  await feed.serve(parseDeviceId('b2'), stuck, undefined);
  t.is(feed.brokers.length, 2);
  for (let at = 0; at < 400; at++) await put(`d${at}`);
  await until('the silent one is gone', () => stuck.destroyed);
  t.false(reading.destroyed);
  t.is(text.split('\n').filter((line) => line.includes('"change"')).length, 400);
  // Too far behind for the changes that are kept: a snapshot.
  const late = new PassThrough();
  let lines = '';
  late.on('data', (chunk: Buffer) => (lines += chunk.toString()));
  await feed.serve(parseDeviceId('b3'), late, { epoch: feed.epoch, since: 1 });
  t.true(lines.includes('snapshot-end'));
  const near = new PassThrough();
  let changes = '';
  near.on('data', (chunk: Buffer) => (changes += chunk.toString()));
  await feed.serve(parseDeviceId('b4'), near, { epoch: feed.epoch, since: feed.sequence - 3 });
  t.false(changes.includes('snapshot'));
  t.is(changes.split('\n').filter((line) => line.includes('"change"')).length, 3);
});
