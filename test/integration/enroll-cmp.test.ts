/**
 * CMP (RFC 9483) with the client of OpenSSL, by the commands of docs/cmp.md, and with messages that it cannot send.
 */
import test, { type ExecutionContext } from 'ava';
import { createHash, createPrivateKey, randomBytes, X509Certificate } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readCertificate, splitPem } from '../../certs/certificate.ts';
import { isMacAlgorithm } from '../../certs/cmp-mac.ts';
import { contextTag, tags } from '../../certs/der.ts';
import { derNull, element, integer, octetString, oid, sequence } from '../../certs/der-encode.ts';
import { generateKeySync, privateKeyPem } from '../../certs/key.ts';
import { oids } from '../../certs/oids.ts';
import { systemClock } from '../../core/clock.ts';
import { tokenSchema } from '../../core/protocol/enrollment-api.ts';
import { opensslFor, type Openssl } from '../support/certs-openssl.ts';
import { runChild, type Finished } from '../support/child.ts';
import {
  crmfOf,
  macMessage,
  passwordMac,
  pbmac1,
  sendCmp,
  signedMessage,
  type CmpAnswer,
  type MessageParts,
} from '../support/cmp-client.ts';
import { enrollService, type TestService } from '../support/enroll-service.ts';
import { factoryCa } from '../support/factory.ts';
import { fakeClock } from '../support/fake-clock.ts';
import { until } from '../support/until.ts';

interface Secret {
  readonly token: string;
  readonly reference: string;
}

async function secretFor(service: TestService, device: string, more: object = {}): Promise<Secret> {
  const answer = await service.asAdmin('POST', '/v1/tokens', { device, cmp: true, ...more });
  const { reference, token } = tokenSchema.parse(answer.body);
  if (reference === undefined) throw new Error('no reference');
  return { token, reference };
}

interface World {
  readonly service: TestService;
  readonly openssl: Openssl;
  /** Runs the commands of a section of docs/cmp.md. */
  readonly run: (section: string, secret?: Secret) => Promise<Finished>;
  readonly certificate: (name: string) => X509Certificate;
}

/** The commands of docs/cmp.md by section. */
const page = new Map(
  readFileSync('docs/cmp.md', 'utf8')
    .split(/^## /m)
    .map((part) => [
      part.slice(0, part.indexOf('\n')),
      /^```sh\n(.*?)^```$/ms.exec(part)?.[1] ?? '',
    ]),
);

/** openssl, and a service that lets devices revoke themselves. */
async function opensslWorld(t: ExecutionContext): Promise<World | undefined> {
  const openssl = opensslFor(t);
  if (openssl === undefined) return undefined;
  const service = await enrollService(t, {
    config: {
      enroll: {
        cmp: { revocation: true },
        approval: { retryAfter: '1s' },
        profiles: {
          machine: { serverNames: { dns: ['{id}.plant.example'], ip: ['10.20.0.0/16'] } },
        },
      },
    },
  });
  openssl.file('ca.pem', service.ca);
  const PORT = String(service.service.addresses.https.port);
  return {
    service,
    openssl,
    run: (section, { reference, token } = { reference: '', token: '' }) => {
      const commands = page.get(section);
      if (commands === undefined) throw new Error(`docs/cmp.md has no section ${section}`);
      const env = { HOST: 'localhost', PORT, CMP_REFERENCE: reference, FLOTILLA_TOKEN: token };
      return runChild(t, '/bin/sh', ['-ec', commands], { cwd: openssl.path('.'), env });
    },
    certificate: (name) => new X509Certificate(readFileSync(openssl.path(name))),
  };
}

test('the commands of docs/cmp.md enroll (ir, p10cr) by token or factory certificate, wait for approval, update (kur), ask for CA certificates (genm) and revoke (rr)', async (t) => {
  const world = await opensslWorld(t);
  if (world === undefined) return;
  const { service, run, certificate } = world;
  const done = async (section: string, secret?: Secret): Promise<void> => {
    const { code, stdout, stderr } = await run(section, secret);
    t.is(code, 0, `${section}: ${stdout}${stderr}`);
  };
  await withSecrets(t, world);
  t.is(certificate('cert.pem').subject, 'CN=pump-7');
  t.is(certificate('roots.pem').fingerprint256, new X509Certificate(service.ca).fingerprint256);
  await done('Send a PKCS#10 request', await secretFor(service, 'pump-8'));
  t.is(certificate('p10.pem').subject, 'CN=pump-8');
  await done('Update the certificate');
  t.is(certificate('new.pem').subject, 'CN=pump-7');
  t.not(certificate('new.pem').serialNumber, certificate('cert.pem').serialNumber);
  await done('Ask for CA certificates');
  await withFactory(t, world);
  await withServerNames(t, world);
  await done('Revoke the device');
  const { body } = await service.asAdmin('GET', '/v1/devices/pump-7');
  t.is(body['status'], 'revoked');
  const again = await run('Revoke the device');
  t.regex(again.stdout + again.stderr, /device-revoked/);
  const events = (await service.audit()).map(({ action, actor }) => `${action} ${actor}`);
  t.true(events.includes('device-revoked pump-7'));
  t.true(events.includes('certificate-renewed pump-7'));
});

/** Only the right secret enrolls, and once; a refusal has a code for the operator. */
async function withSecrets(t: ExecutionContext, { service, run }: World): Promise<void> {
  const section = 'Enroll with a token';
  const { reference, token } = await secretFor(service, 'pump-7');
  const wrong = await run(section, { reference, token: `${token}x` });
  t.not(wrong.code, 0);
  const right = await run(section, { reference, token });
  t.is(right.code, 0, `a wrong secret does not use the token up ${right.stdout}`);
  // The first command makes another key.
  const used = await run('Send a PKCS#10 request', { reference, token });
  t.not(used.code, 0);
  t.regex(used.stdout + used.stderr, /token-wrong-device|csr-name-mismatch/);
  const codes = (await service.audit()).map(({ detail }) => JSON.stringify(detail));
  t.true(codes.some((one) => one.includes('token-invalid')));
}

async function withFactory(
  t: ExecutionContext,
  { service, openssl, run, certificate }: World,
): Promise<void> {
  // openssl sends the CA between the device and the registered one in extraCerts.
  const factory = factoryCa('intermediate');
  const add = { name: 'maker', certificate: factory.pem, approval: true };
  t.is((await service.asAdmin('POST', '/v1/factories', add)).status, 201);
  const idevid = factory.device('unit-1');
  openssl.file('idevid.pem', idevid.cert);
  openssl.file('idevid.key', idevid.key);
  const running = run('Enroll with a factory certificate');
  const id = await until('a request', async () => {
    const { body } = await service.asAdmin('GET', '/v1/requests');
    return (body as { requests: { id: string }[] }).requests[0]?.id;
  });
  const approved = await service.asAdmin('POST', `/v1/requests/${id}/approve`, {});
  t.is(approved.status, 200, JSON.stringify(approved.body));
  const { code, stdout, stderr } = await running;
  t.is(code, 0, stdout + stderr);
  t.is(certificate('unit.pem').subject, 'CN=unit-1');
  // The path of the first unit is remembered, for resumed connections.
  const second = factory.device('unit-2');
  const [leaf = ''] = splitPem(second.cert);
  const value = crmfOf({ key: generateKeySync('p256'), commonName: 'unit-2' });
  const parts = { body: 'ir', value } as const;
  const alone = await signedMessage({ cert: leaf, key: createPrivateKey(second.key) }, parts);
  t.regex((await sendCmp(service, alone)).text, /^client-certificate-untrusted/);
}

/** A profile with names of servers: the request has them, and the update keeps them. */
async function withServerNames(
  t: ExecutionContext,
  { service, openssl, certificate }: World,
): Promise<void> {
  const { reference, token } = await secretFor(service, 'm-1', { profile: 'machine' });
  const { port } = service.service.addresses.https;
  const cmp = (...args: string[]): Promise<Finished> =>
    openssl.run(
      ...['cmp', '-server', `localhost:${port}/.well-known/cmp/p/machine`, '-implicit_confirm'],
      ...['-tls_used', '-tls_trusted', openssl.path('ca.pem'), ...args],
    );
  const file = (name: string): string => openssl.path(name);
  const ir = (sans: string): Promise<Finished> => {
    const key = openssl.file('m-1.key', privateKeyPem(generateKeySync('p256')));
    return cmp(
      ...['-cmd', 'ir', '-ref', reference, '-secret', `pass:${token}`, '-newkey', key],
      ...['-subject', '/CN=m-1', '-sans', sans, '-certout', file('m-1.pem')],
    );
  };
  const refused = await ir('m-1.plant.example localhost');
  t.regex(refused.stdout + refused.stderr, /server-name-refused/);
  const granted = await ir('m-1.plant.example 10.20.0.7');
  t.is(granted.code, 0, granted.stdout + granted.stderr);
  const names = 'DNS:m-1.plant.example, IP Address:10.20.0.7';
  t.is(certificate('m-1.pem').subjectAltName, names);
  const next = openssl.file('m-1.new.key', privateKeyPem(generateKeySync('p256')));
  const updated = await cmp(
    ...['-cmd', 'kur', '-cert', file('m-1.pem'), '-key', file('m-1.key')],
    ...['-trusted', file('ca.pem'), '-newkey', next, '-certout', file('m-1.new.pem')],
  );
  t.is(updated.code, 0, updated.stdout + updated.stderr);
  t.is(certificate('m-1.new.pem').subjectAltName, names);
}

/** Sends a request for a certificate by MAC. */
async function enrollBy(
  service: TestService,
  secret: Secret,
  parts: Partial<MessageParts> = {},
  mac = pbmac1(),
): Promise<CmpAnswer> {
  const value = crmfOf({ key: generateKeySync('p256'), commonName: 'dev-1' });
  return sendCmp(service, await macMessage(secret, mac, { body: 'ir', value, ...parts }));
}

test('CMP with a shared secret: PBMAC1 and PasswordBasedMac, confirmed once, never replayed; what RFC 9483 forbids is refused and changes nothing', async (t) => {
  const clock = fakeClock(Date.now());
  const service = await enrollService(t, { clock });
  await forbidden(t, service);
  assertNotStored(t, service, (await secretFor(service, 'dev-4')).token);
  const short = await secretFor(service, 'dev-5', { ttlSeconds: 60 });
  clock.advance(60_000);
  const value = crmfOf({ key: generateKeySync('p256'), commonName: 'dev-5' });
  t.regex((await enrollBy(service, short, { value })).text, /^token-expired/);
  await confirmed(t, service);
  // Restarts the service.
  await replayed(t, service);
});

async function confirmed(t: ExecutionContext, service: TestService): Promise<void> {
  const confirm = async (
    answer: CmpAnswer,
    secret: Secret,
    hash = createHash('sha256').update(answer.certificate!.raw).digest(),
    more: Partial<MessageParts> = {},
  ): Promise<CmpAnswer> => {
    const { transactionId, senderNonce } = answer.message.header;
    const value = sequence(sequence(octetString(hash), integer(0)));
    return sendCmp(
      service,
      await macMessage(secret, pbmac1(), {
        body: 'certConf',
        value,
        transactionId,
        recipientNonce: senderNonce,
        ...more,
      }),
    );
  };
  for (const mac of [pbmac1(), passwordMac()]) {
    const secret = await secretFor(service, 'dev-1');
    const answer = await enrollBy(service, secret, {}, mac);
    t.is(answer.message.bodyName, 'ip', answer.text);
    t.is(answer.certificate?.subject, 'CN=dev-1');
    t.true(isMacAlgorithm(answer.message.header.algorithm!));
    const wrong = await confirm(answer, secret, randomBytes(32));
    t.regex(wrong.text, /^cmp-certificate-mismatch/);
    const guessed = await confirm(answer, secret, undefined, { recipientNonce: randomBytes(16) });
    t.regex(guessed.text, /^cmp-transaction-unknown/);
    t.is((await confirm(answer, secret)).message.bodyName, 'pkiconf');
    t.regex((await confirm(answer, secret)).text, /^cmp-transaction-unknown/);
  }
  const secret = await secretFor(service, 'dev-2');
  const value = crmfOf({ key: generateKeySync('p256'), commonName: 'dev-2' });
  const declined = await enrollBy(service, secret, { value });
  const { transactionId, senderNonce } = declined.message.header;
  const refusal = { value: sequence(), transactionId, recipientNonce: senderNonce };
  t.is((await confirm(declined, secret, undefined, refusal)).message.bodyName, 'pkiconf');
  const { body } = await service.asAdmin('GET', '/v1/devices/dev-2');
  const [certificate] = body['certificates'] as { status: string }[];
  t.is(certificate?.status, 'retired', 'an empty confirmation declines the certificate');
}

/** Neither the token nor its bytes are on the disk: they are derived when they are needed. */
function assertNotStored(t: ExecutionContext, { state }: TestService, token: string): void {
  const bytes = Buffer.from(token, 'base64url');
  const entries = readdirSync(state.root, { recursive: true, withFileTypes: true });
  const files = entries.filter((one) => one.isFile());
  for (const { parentPath, name } of files) {
    const content = readFileSync(join(parentPath, name));
    t.false(
      [token, bytes, bytes.toString('hex')].some((one) => content.includes(one)),
      name,
    );
  }
  t.true(files.some(({ name }) => name === 'cmp.key.pem'));
}

/** A repeated request gets the same certificate, and no message is accepted twice. */
async function replayed(t: ExecutionContext, service: TestService): Promise<void> {
  const secret = await secretFor(service, 'dev-1');
  const key = generateKeySync('p256');
  const request = await macMessage(secret, pbmac1(), {
    body: 'ir',
    value: crmfOf({ key, commonName: 'dev-1' }),
  });
  const first = await sendCmp(service, request);
  t.is(first.message.bodyName, 'ip', first.text);
  const again = await sendCmp(service, request);
  t.regex(again.text, /^cmp-transaction-used/);
  t.is(again.failure, 21);
  // The proof of possession has another random number in it, and the transaction another id.
  const retried = await enrollBy(service, secret, { value: crmfOf({ key, commonName: 'dev-1' }) });
  t.is(retried.certificate?.serialNumber, first.certificate?.serialNumber);
  const restarted = await service.restart();
  const late = await sendCmp(restarted, request);
  t.is(late.certificate?.serialNumber, first.certificate?.serialNumber);
  const other = await enrollBy(restarted, secret);
  t.regex(other.text, /^token-used/);
}

async function forbidden(t: ExecutionContext, service: TestService): Promise<void> {
  const secret = await secretFor(service, 'dev-1');
  const key = generateKeySync('p256');
  const crmf = (more: object = {}): Buffer => crmfOf({ key, commonName: 'dev-1', ...more });
  const cases: readonly [string, RegExp, number, Partial<MessageParts>][] = [
    ['raVerified', /^operation-refused/, 2, { value: crmf({ proof: Buffer.from([0x80, 0]) }) }],
    ['no key', /^operation-refused.*private key/, 2, { value: crmf({ withKey: false }) }],
    ['two requests', /^operation-refused/, 2, { value: crmf({ count: 2 }) }],
    [
      'the proof of another request',
      /^csr-signature-invalid/,
      9,
      {
        value: crmf({
          proof: element(
            contextTag(1),
            sequence(oid(oids.ecdsaWithSha256)),
            element(tags.bitString, Buffer.alloc(72)),
          ),
        }),
      },
    ],
    ['another id', /^token-wrong-device|^csr-name/, 19, { value: crmf({ commonName: 'dev-9' }) }],
    ['an update without a certificate', /^operation-refused/, 2, { body: 'kur' }],
    [
      'a revocation',
      /^cmp-malformed|^cmp-revocation-refused/,
      5,
      { body: 'rr', value: sequence() },
    ],
    ['an old message', /^cmp-time-refused/, 3, { timeMs: Date.now() - 3_600_000 }],
    ['a message of a server', /^operation-refused/, 2, { body: 'ip' }],
    [
      'a foreign transaction',
      /^cmp-transaction-unknown/,
      13,
      { body: 'pollReq', value: sequence(sequence(integer(0))) },
    ],
    ['not a request', /^cmp-malformed/, 5, { value: derNull }],
    [
      'unknown information',
      /^operation-refused/,
      2,
      { body: 'genm', value: sequence(sequence(oid(oids.commonName))) },
    ],
    ['no protection', /^cmp-protection-missing/, 1, { protection: undefined }],
  ];
  for (const [name, text, failure, parts] of cases) {
    const answer = await enrollBy(service, secret, { value: crmf(), ...parts });
    t.is(answer.message.bodyName, 'error', name);
    t.regex(answer.text, text, name);
    t.is(answer.failure, failure, name);
  }
  for (const mac of [pbmac1(200_001), passwordMac(10_001), passwordMac(99)]) {
    const answer = await enrollBy(service, secret, {}, mac);
    t.regex(answer.text, /^cmp-algorithm-refused/);
    t.is(answer.failure, 0);
  }
  const unknown = await enrollBy(service, { ...secret, reference: 'f'.repeat(64) });
  const wrong = await enrollBy(service, { ...secret, token: secret.reference });
  t.is(unknown.text, wrong.text, 'an attacker does not learn which references exist');
  t.is(unknown.failure, 1);
  const { token } = await service.token('dev-3');
  const plain = createHash('sha256').update(Buffer.from(token, 'base64url')).digest('hex');
  const noCmp = await enrollBy(service, { token, reference: plain });
  t.regex(noCmp.text, /^token-invalid/, 'a token without --cmp is no shared secret');
  t.is((await service.asAdmin('GET', '/v1/devices/dev-1')).status, 404);
  t.is((await enrollBy(service, secret)).message.bodyName, 'ip', 'the token is still good');
}

test('only the key of a certificate of this fleet updates it, over CMP as over EST', async (t) => {
  const service = await enrollService(t);
  const device = await service.device('dev-1');
  const other = await service.device('dev-2');
  const next = generateKeySync('p256');
  const value = crmfOf({ key: next, commonName: 'dev-1' });
  const kur = { body: 'kur', value } as const;
  const { chain: cert } = device.issued;
  const cases: readonly [string, RegExp, Promise<Buffer>][] = [
    ['another key', /^cmp-protection-invalid/, signedMessage({ cert, key: other.key }, kur)],
    ['an unknown certificate', /^client-certificate-untrusted/, foreignMessage(kur)],
    [
      'the name of another device',
      /^csr-name-mismatch/,
      signedMessage({ cert: other.issued.chain, key: other.key }, kur),
    ],
    [
      'a first request',
      /^operation-refused/,
      signedMessage({ cert, key: device.key }, { ...kur, body: 'ir' }),
    ],
    [
      'a revocation that the configuration does not allow',
      /^cmp-revocation-refused/,
      signedMessage({ cert, key: device.key }, { body: 'rr', value: revocationOf(cert) }),
    ],
  ];
  for (const [name, text, message] of cases) {
    t.regex((await sendCmp(service, await message)).text, text, name);
  }
  const answer = await sendCmp(service, await signedMessage({ cert, key: device.key }, kur));
  t.is(answer.message.bodyName, 'kup', answer.text);
  t.false(isMacAlgorithm(answer.message.header.algorithm!));
  const [signer] = answer.message.certificates;
  const facts = new X509Certificate(signer!);
  t.is(facts.subject, 'CN=Flotilla CMP');
  t.deepEqual(facts.keyUsage, ['1.3.6.1.5.5.7.3.28'], 'useless for TLS');
  await duringRootChange(t, service, { cert, key: device.key });
});

/** RFC 9483, 4.3.2, and RFC 4210, 4.4: a device gets from the root that it knows to the next one. */
async function duringRootChange(
  t: ExecutionContext,
  service: TestService,
  device: Parameters<typeof signedMessage>[0],
): Promise<void> {
  const ask = async (type: string): Promise<readonly Buffer[]> => {
    const parts = { body: 'genm', value: sequence(sequence(oid(type))) } as const;
    const { message } = await sendCmp(service, await signedMessage(device, parts));
    t.is(message.bodyName, 'genp');
    // GenRepContent: one InfoTypeAndValue.
    const value = message.body.children[0]?.children[1];
    return (value?.children ?? []).map(({ tag, der, children }) =>
      tag === tags.sequence ? der : (children[0]?.der ?? Buffer.alloc(0)),
    );
  };
  t.deepEqual(await ask(oids.rootCaCert), [], 'the root does not change');
  const former = readCertificate(service.ca);
  const { status, body } = await service.asAdmin('POST', '/v1/roots', {});
  t.is(status, 201);
  const [newRoot, newWithOld, oldWithNew, ...more] = (await ask(oids.rootCaCert)).map((der) =>
    readCertificate(der),
  );
  t.deepEqual(more, []);
  t.is(newRoot?.fingerprint, body['fingerprint'] as string);
  t.not(newRoot?.fingerprint, former.fingerprint);
  t.true(newWithOld?.x509.verify(former.x509.publicKey));
  t.is(newWithOld?.keyFingerprint, newRoot?.keyFingerprint);
  t.true(oldWithNew?.x509.verify(newRoot!.x509.publicKey));
  t.is(oldWithNew?.keyFingerprint, former.keyFingerprint);
  const authorities = (await ask(oids.caCerts)).map((der) => readCertificate(der));
  t.true(authorities.some(({ fingerprint }) => fingerprint === newWithOld?.fingerprint));
  t.true(
    authorities.some(({ x509 }) => x509.checkIssued(newRoot!.x509)),
    'the new issuer',
  );
}

function foreignMessage(parts: MessageParts): Promise<Buffer> {
  const { cert, key } = factoryCa().device('dev-1');
  return signedMessage({ cert, key: createPrivateKey(key) }, parts);
}

/** RevReqContent for a certificate, DER. */
function revocationOf(pem: string): Buffer {
  const { serialNumber } = new X509Certificate(pem);
  const serial = element(contextTag(1, 'primitive'), Buffer.from(serialNumber, 'hex'));
  const issuer = element(contextTag(3), sequence());
  return sequence(sequence(sequence(serial, issuer)));
}

test('refusals of unidentified clients cost a limited number of signatures for each source', async (t) => {
  const service = await enrollService(t, {
    // A second never ends.
    clock: { ...systemClock, monotonicMs: () => 0 },
    config: { limits: { enroll: { signaturesPerSecond: 20 } } },
  });
  const secret = { reference: 'A'.repeat(43), token: 'x' };
  const parts = { body: 'pollReq', value: sequence(sequence(integer(0))) } as const;
  const body = await macMessage(secret, pbmac1(), { ...parts, protection: undefined });
  const statuses: number[] = [];
  for (let at = 0; at < 3; at++) {
    const headers = { 'content-type': 'application/pkixcmp' };
    const call = { method: 'POST', path: '/.well-known/cmp', headers, body } as const;
    statuses.push((await service.call(call)).status);
  }
  t.deepEqual(statuses, [200, 200, 429]);
});
