import test from 'ava';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { IssueOptions } from '../../../../certs/authority.ts';
import { createCsr, parseCsr } from '../../../../certs/csr.ts';
import { generateKeySync, spkiOf } from '../../../../certs/key.ts';
import { certsOnly } from '../../../../certs/pkcs7.ts';
import { noNames, subjectNamesOf } from '../../../../certs/subject-names.ts';
import { systemClock } from '../../../../core/clock.ts';
import { checkConfig } from '../../../../core/config/config.ts';
import { dayMs } from '../../../../core/config/duration.ts';
import { FlotillaError } from '../../../../core/errors/flotilla-error.ts';
import { ExternalCa } from '../../../../enroll/ca/external-ca.ts';
import { tempFolder } from '../../../support/temp-folder.ts';
import { testCa } from '../../../support/test-ca.ts';
import { until } from '../../../support/until.ts';

const ours = testCa('Company');
const theirs = testCa('Other');
const server = ours.issue({ profile: 'server', commonName: 'ca', names: ['127.0.0.1'] });
const csr = parseCsr(createCsr({ key: generateKeySync('p256'), commonName: 'd1' }).der);
const request = {
  ...{ csr, device: 'd1', names: noNames, validityMs: dayMs },
  issuer: ours.issuer.certificate,
};

type Answer = (response: ServerResponse) => void;

function signed(more: Partial<IssueOptions> = {}, { issuer } = ours): Answer {
  const options = {
    spki: csr.spki,
    profile: 'device',
    commonName: 'd1',
    validityMs: dayMs,
  } as const;
  const { der } = issuer.issue({ ...options, ...more });
  return (response) => response.end(certsOnly([der]).toString('base64'));
}

function status(code: number, headers: Record<string, string> = {}): Answer {
  return (response) => response.writeHead(code, headers).end('no');
}

test('only a certificate of the trusted issuer for the requested key, name and usage is accepted', async (t) => {
  const folder = tempFolder(t);
  const file = (name: string, content: string): string => {
    writeFileSync(join(folder, name), content, { mode: 0o600 });
    return join(folder, name);
  };
  let answer: Answer = status(500);
  const seen: { path: string | undefined; authorization: string | undefined; body: string }[] = [];
  const web = createServer({ key: server.key, cert: server.cert }, (incoming, response) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      const { authorization } = incoming.headers;
      seen.push({ path: incoming.url, authorization, body: Buffer.concat(chunks).toString() });
      answer(response);
    });
  });
  web.listen(0, '127.0.0.1');
  await once(web, 'listening');
  t.teardown(() => {
    web.closeAllConnections();
    web.close();
  });
  const { port } = web.address() as AddressInfo;
  const settings = {
    url: `https://127.0.0.1:${port}/est/`,
    caFile: file('ca.pem', ours.ca),
    credentialsFile: file('password', 'ra:secret\n'),
    requestsMax: 1,
  };
  const open = (more = {}): Promise<ExternalCa | undefined> =>
    ExternalCa.open(
      checkConfig({ enroll: { externalCa: { ...settings, timeout: '1h', ...more } } }),
      systemClock,
    );
  const ca = (await open())!;
  const codeOf = async (one = ca, what = request): Promise<string> => {
    const error = await t.throwsAsync(one.issue(what), { instanceOf: FlotillaError });
    return `${error.code} ${error.detail ?? ''} ${error.retryAfterSeconds ?? ''}`.trim();
  };

  answer = signed();
  const issued = await ca.issue(request);
  t.is(issued.keyFingerprint, csr.keyFingerprint);
  t.is(seen[0]?.path, '/est/simpleenroll');
  t.is(seen[0]?.authorization, `Basic ${Buffer.from('ra:secret').toString('base64')}`);
  t.deepEqual(Buffer.from(seen[0]?.body ?? '', 'base64'), csr.der);

  const refused = /^external-ca-answer-refused /;
  for (const [what, one, reason] of [
    ['another key', signed({ spki: spkiOf(generateKeySync('p256')) }), /another key/],
    ['another name', signed({ commonName: 'd2' }), /common name is not d1/],
    ['an alternative name', signed({ names: subjectNamesOf(['broker.example']) }), /not requested/],
    ['a server', signed({ profile: 'server' }), /not for TLS clients/],
    ['client and server', signed({ profile: 'broker' }), /used by a server/],
    ['a CA', signed({ profile: 'issuer' }), /not for TLS clients/],
    ['too long', signed({ validityMs: 2 * dayMs }), /longer than requested/],
    ['ended', signed({ validityMs: -60_000 }), /has ended/],
    ['another CA', signed({}, theirs), /not of the CA behind it/],
    ['nothing', (response: ServerResponse) => response.end(''), /./],
    [
      'no certificates',
      (response: ServerResponse) => response.end(certsOnly([]).toString('base64')),
      /no certificate/,
    ],
  ] as const) {
    answer = one;
    const code = await codeOf();
    t.regex(code, refused, what);
    t.regex(code, reason, what);
  }
  for (const [one, expected] of [
    [status(503, { 'retry-after': '7' }), /^external-ca-unavailable HTTP status 503 7$/],
    [status(500), /^external-ca-unavailable HTTP status 500 30$/],
    [status(202, { 'retry-after': '99999' }), /^external-ca-unavailable .* 3600$/],
    [status(401), /^external-ca-refused HTTP status 401$/],
    [
      (response: ServerResponse) => response.end('A'.repeat(200_000)),
      /^external-ca-unavailable service-answer-invalid/,
    ],
    [
      (response: ServerResponse) => response.destroy(),
      /^external-ca-unavailable service-unreachable/,
    ],
  ] as const) {
    answer = one;
    t.regex(await codeOf(), expected);
  }

  const before = seen.length;
  const unnamed = { ...request, csr: { ...csr, commonName: undefined } };
  t.regex(await codeOf(ca, unnamed), /^csr-name-mismatch/);
  t.is(seen.length, before, 'the CA was not asked');

  // A CA that does not answer delays one request, and more of them do not wait.
  let free: () => void = () => undefined;
  answer = (response) => (free = () => signed()(response));
  const slow = ca.issue(request);
  await until('the request is at the CA', () => Promise.resolve(seen.length > before));
  t.regex(await codeOf(), /^external-ca-unavailable 1 request is waiting for it 1$/);
  free();
  t.is((await slow).keyFingerprint, csr.keyFingerprint);
  // One device has two requests there at a time, so that it cannot take all places.
  const held: ServerResponse[] = [];
  answer = (response) => void held.push(response);
  const wide = (await open({ requestsMax: 8 }))!;
  const own = [wide.issue(request), wide.issue(request)];
  t.regex(await codeOf(wide), /^external-ca-unavailable 2 requests of d1 wait for it 1$/);
  await until('both are at the CA', () => held.length === 2 || undefined);
  for (const response of held) signed()(response);
  t.is((await Promise.all(own)).length, 2);
  answer = () => undefined;
  t.regex(await codeOf(await open({ timeout: '10ms' })), /^external-ca-unavailable .* 30$/);
  t.regex(
    await codeOf(await open({ caFile: file('other.pem', theirs.ca) })),
    /^external-ca-unavailable service-untrusted/,
  );
  writeFileSync(join(folder, 'open'), 'ra:secret', { mode: 0o644 });
  await t.throwsAsync(open({ credentialsFile: join(folder, 'open') }), { code: 'file-too-open' });
});
