/**
 * Factory certificates as the industry makes them (IEEE 802.1AR), made with openssl.
 */
import test, { type ExecutionContext } from 'ava';
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { sequence } from '../../certs/der-encode.ts';
import { generateKeySync } from '../../certs/key.ts';
import { parseCertsOnly } from '../../certs/pkcs7.ts';
import { opensslFor, type Openssl } from '../support/certs-openssl.ts';
import { forgeRequest } from '../support/certs-forge-request.ts';
import { enrollService, type Credential, type TestService } from '../support/enroll-service.ts';
import { enrollWith } from '../support/factory.ts';

const hardware = `[hw]
t = OID:1.3.6.1.4.1.99999.1
s = FORMAT:ASCII,OCT:HW-77
`;
const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

interface Maker {
  readonly pem: string;
  readonly device: (subject: string, extensions: readonly string[]) => Promise<Credential>;
}

async function made(t: ExecutionContext, openssl: Openssl, args: readonly string[]): Promise<void> {
  const { code, stderr } = await openssl.run(...args);
  t.is(code, 0, stderr);
}

async function maker(t: ExecutionContext, openssl: Openssl): Promise<Maker> {
  const config = (extensions: readonly string[]): string =>
    openssl.file(
      'openssl.cnf',
      `[req]\ndistinguished_name = dn\n[dn]\n[ext]\n${extensions.join('\n')}\n${hardware}`,
    );
  const request = ['req', '-x509', ...ec, '-days', '3650', '-extensions', 'ext'];
  const ca = ['basicConstraints = critical,CA:TRUE', 'keyUsage = critical,keyCertSign'];
  await made(t, openssl, [
    ...[...request, '-config', config(ca), '-subj', '/O=Maker/CN=Maker CA'],
    ...['-keyout', openssl.path('ca.key'), '-out', openssl.path('ca.pem')],
  ]);
  return {
    pem: await readFile(openssl.path('ca.pem'), 'utf8'),
    device: async (subject, extensions) => {
      const usual = ['basicConstraints = CA:FALSE', 'keyUsage = critical,digitalSignature'];
      await made(t, openssl, [
        ...[...request, '-config', config([...usual, ...extensions]), '-subj', subject],
        ...['-CA', openssl.path('ca.pem'), '-CAkey', openssl.path('ca.key')],
        ...['-keyout', openssl.path('d.key'), '-out', openssl.path('d.pem')],
      ]);
      return {
        cert: await readFile(openssl.path('d.pem'), 'utf8'),
        key: await readFile(openssl.path('d.key'), 'utf8'),
      };
    },
  };
}

async function register(
  service: TestService,
  certificate: string,
  deviceId?: string,
): Promise<number> {
  const body = { name: 'maker', certificate, ...(deviceId === undefined ? {} : { deviceId }) };
  return (await service.asAdmin('POST', '/v1/factories', body)).status;
}

const names =
  'subjectAltName = critical,DNS:unit-9.maker.example,otherName:1.3.6.1.5.5.7.8.4;SEQ:hw';
const policies = 'certificatePolicies = critical,2.23.133.11.1.1';

test('a rule of the factory makes the device id from the fields of an IDevID', async (t) => {
  const openssl = opensslFor(t);
  if (openssl === undefined) return;
  const service = await enrollService(t);
  const { pem, device } = await maker(t, openssl);
  const cases = [
    ['p-{serialNumber}', '/serialNumber=SN42', [policies], 'p-SN42'],
    ['{commonName:1}', '/O=Maker/CN=sn0123 ATECC', [], 'sn0123'],
    ['{commonName:2}-{commonName:1}', '/CN=sn0124 ATECC', [], 'ATECC-sn0124'],
    ['{dnsName}', '/', [names], 'unit-9.maker.example'],
    ['hw.{hardwareSerial}', '/', [names], 'hw.48572d3737'],
    ['{hardwareSerialText}', '/serialNumber=SN43', [names], 'HW-77'],
    [undefined, '/CN=plain-1', [policies], 'plain-1'],
  ] as const;
  for (const [rule, subject, extensions, id] of cases) {
    const credential = await device(subject, extensions);
    t.is(await register(service, pem, rule), 201, rule);
    const answer = await enrollWith(service, id, credential);
    t.is(answer.status, 201, `${id}: ${JSON.stringify(answer.body)}`);
    t.is((await service.asAdmin('GET', `/v1/devices/${id}`)).status, 200);
  }
});

test('an IDevID whose fields make no device id is refused with the reason', async (t) => {
  const openssl = opensslFor(t);
  if (openssl === undefined) return;
  const service = await enrollService(t);
  const { pem, device } = await maker(t, openssl);
  const cases = [
    [undefined, '/CN=sn0123 ATECC', [], /is not a device id/],
    [undefined, '/serialNumber=SN1', [], /it has no commonName/],
    ['{serialNumber}', '/serialNumber=SN1/serialNumber=SN2', [], /several values of serialNumber/],
    ['{commonName:3}', '/CN=sn0123 ATECC', [], /its commonName:3 is empty/],
    ['{hardwareSerial}', '/CN=x', [], /it has no hardwareSerial/],
    ['{dnsName}', '/CN=x', ['subjectAltName = DNS:a.example,DNS:b.example'], /several values/],
  ] as const;
  for (const [rule, subject, extensions, reason] of cases) {
    const credential = await device(subject, extensions);
    t.is(await register(service, pem, rule), 201, rule);
    const { body } = await enrollWith(service, 'x', credential);
    t.is(body['code'], 'factory-certificate-refused');
    t.regex(String(body['detail']), reason);
  }
});

test('a rule without a known field, or with text that no id may have, is not registered', async (t) => {
  const openssl = opensslFor(t);
  if (openssl === undefined) return;
  const service = await enrollService(t);
  const { pem } = await maker(t, openssl);
  for (const rule of [
    'fixed',
    '{serial}',
    'a/{serialNumber}',
    '{serialNumber:0}',
    '{{commonName}}',
  ]) {
    t.is(await register(service, pem, rule), 400, rule);
  }
  t.is(await register(service, pem, 'p-{serialNumber}'), 201);
  const { body } = await service.asAdmin('GET', '/v1/factories');
  t.is((body['factories'] as { deviceId: string }[])[0]?.deviceId, 'p-{serialNumber}');
});

test('over EST an IDevID enrolls with a request that has no subject', async (t) => {
  const openssl = opensslFor(t);
  if (openssl === undefined) return;
  const service = await enrollService(t);
  const { pem, device } = await maker(t, openssl);
  t.is(await register(service, pem, 'p-{serialNumber}'), 201);
  const answer = await service.call({
    method: 'POST',
    path: '/.well-known/est/simpleenroll',
    headers: { 'content-type': 'application/pkcs10' },
    body: forgeRequest({ key: generateKeySync('p256'), subject: sequence() }),
    ...(await device('/serialNumber=SN44', [policies])),
  });
  t.is(answer.status, 200, answer.body.toString());
  const [der] = parseCertsOnly(Buffer.from(answer.body.toString(), 'base64'));
  t.is(new X509Certificate(der!).subject, 'CN=p-SN44');
});
