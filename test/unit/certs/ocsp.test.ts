import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { readFileSync } from 'node:fs';
import test from 'ava';
import fc from 'fast-check';
import { decodeDer } from '../../../certs/der.ts';
import {
  answerOcsp,
  createResponder,
  ocspFailure,
  ocspRequestMaxBytes,
  ocspRequestOfPath,
  parseOcspRequest,
  type CertificateStatus,
  type OcspResponder,
} from '../../../certs/ocsp.ts';
import {
  explicit,
  integer,
  octetString,
  oid,
  sequence,
  unsignedInteger,
} from '../../../certs/der-encode.ts';
import { extension } from '../../../certs/extensions.ts';
import { spkiOf } from '../../../certs/key.ts';
import { oids } from '../../../certs/oids.ts';
import { isFlotillaError } from '../../../core/errors/flotilla-error.ts';
import { opensslFor } from '../../support/certs-openssl.ts';
import { dayMs, keyFor, quickKeyTypes, world } from '../../support/certs-world.ts';

const nowMs = Math.floor(Date.now() / 1000) * 1000;

/** Responds to POST and GET, like the enrollment service. */
async function ocspServer(
  responders: readonly OcspResponder[],
  statusOf: (serial: string) => CertificateStatus,
): Promise<{ url: string; close: () => void }> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body =
        request.method === 'GET'
          ? ocspRequestOfPath(request.url!.slice('/ocsp/'.length))
          : Buffer.concat(chunks);
      response.setHeader('content-type', 'application/ocsp-response');
      response.end(
        answerOcsp({ request: body, responders, statusOf, nowMs, validityMs: 3600_000 }),
      );
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/ocsp`, close: () => server.close() };
}

for (const type of quickKeyTypes) {
  test(`openssl verifies the responses of a responder below a ${type} CA`, async (t) => {
    const openssl = opensslFor(t);
    if (openssl === undefined) return;
    const { root, issuer } = await world(type);
    const spki = spkiOf(await keyFor('p256', 'subject'));
    const leaf = (): { pem: string; serial: string } =>
      issuer.issue({ spki, profile: 'device', commonName: 'd', validityMs: dayMs });
    const leaves = { good: leaf(), revoked: leaf(), unknown: leaf() };
    const responder = await createResponder(issuer, dayMs);
    const server = await ocspServer([await createResponder(root, dayMs), responder], (serial) => {
      if (serial === leaves.good.serial) return { status: 'good' };
      if (serial !== leaves.revoked.serial) return { status: 'unknown' };
      return { status: 'revoked', atMs: nowMs - 5000, reason: 'keyCompromise' };
    });
    t.teardown(server.close);
    const rootFile = openssl.file('root.pem', root.certificate.pem);
    const issuerFile = openssl.file('issuer.pem', issuer.certificate.pem);
    const common = [
      '-issuer',
      issuerFile,
      '-CAfile',
      rootFile,
      '-verify_other',
      issuerFile,
      '-url',
      server.url,
    ];
    for (const [status, { pem }] of Object.entries(leaves)) {
      const cert = openssl.file(`${status}.pem`, pem);
      for (const digest of ['-sha1', '-sha256']) {
        const { code, stdout, stderr } = await openssl.run(
          'ocsp',
          digest,
          ...common,
          '-cert',
          cert,
        );
        t.is(code, 0, stderr);
        t.regex(stderr, /Response verify OK/);
        t.true(stdout.includes(`${status}.pem: ${status}`), stdout);
        t.false(`${stdout}${stderr}`.includes('WARNING'), stderr);
        if (status === 'revoked') t.regex(stdout, /Reason: keyCompromise/);
      }
    }
    // Several certificates in one request, written to a file and then sent by GET.
    const requestFile = openssl.path('request.der');
    const certs = Object.keys(leaves).flatMap((name) => ['-cert', openssl.path(`${name}.pem`)]);
    await openssl.run('ocsp', '-issuer', issuerFile, ...certs, '-reqout', requestFile);
    const path = encodeURIComponent(readFileSync(requestFile).toString('base64'));
    const answer = await fetch(`${server.url}/${path}`);
    const answerFile = openssl.file('answer.der', Buffer.from(await answer.arrayBuffer()));
    const read = await openssl.run(
      'ocsp',
      '-respin',
      answerFile,
      '-reqin',
      requestFile,
      '-issuer',
      issuerFile,
      '-CAfile',
      rootFile,
      '-verify_other',
      issuerFile,
      '-resp_text',
    );
    t.is(read.code, 0, read.stderr);
    t.regex(read.stderr, /Response verify OK/);
    t.regex(read.stdout, /Cert Status: good[\s\S]*Cert Status: revoked[\s\S]*Cert Status: unknown/);
  });
}

test('the responder certificate can only sign responses and needs no revocation check', async (t) => {
  const openssl = opensslFor(t);
  if (openssl === undefined) return;
  const { root, issuer } = await world('p256', { urls: { crl: 'http://a.example/crl' } });
  const { certificate } = await createResponder(issuer, dayMs);
  const file = openssl.file('responder.pem', certificate.pem);
  const { stdout } = await openssl.run('x509', '-in', file, '-noout', '-text');
  t.regex(stdout, /OCSP Signing\n/);
  t.regex(stdout, /OCSP No Check/);
  t.notRegex(stdout, /CRL Distribution/);
  const args = ['-CAfile', openssl.file('root.pem', root.certificate.pem)];
  const untrusted = openssl.file('issuer.pem', issuer.certificate.pem);
  const { code, stderr } = await openssl.run(
    'verify',
    '-x509_strict',
    '-purpose',
    'ocsphelper',
    ...args,
    '-untrusted',
    untrusted,
    file,
  );
  t.is(code, 0, stderr);
});

/** A request as in RFC 6960, with parts that can be manipulated. */
function request(
  options: {
    nonce?: Buffer;
    critical?: boolean;
    count?: number;
    extra?: Buffer;
    nameHash?: Buffer;
  } = {},
): Buffer {
  const { nonce, critical = false, count = 1, extra, nameHash = Buffer.alloc(20) } = options;
  const one = sequence(
    sequence(
      sequence(oid(oids.sha1), Buffer.from([5, 0])),
      octetString(nameHash),
      octetString(Buffer.alloc(20)),
      integer(1),
    ),
  );
  const extensions = [
    ...(nonce === undefined
      ? []
      : [
          extension(oids.ocspNonce, octetString(nonce), ...(critical ? ['critical' as const] : [])),
        ]),
    ...(extra === undefined ? [] : [extra]),
  ];
  return sequence(
    sequence(
      sequence(...Array.from({ length: count }, () => one)),
      ...(extensions.length === 0 ? [] : [explicit(2, sequence(...extensions))]),
    ),
  );
}

const statusOf = (): CertificateStatus => ({ status: 'good' });

test('nonces of 1 to 128 bytes are accepted, others make the request malformed', (t) => {
  for (const bytes of [1, 15, 16, 32, 127, 128]) {
    t.is(parseOcspRequest(request({ nonce: Buffer.alloc(bytes, 7) })).nonce?.length, bytes);
    t.is(
      parseOcspRequest(request({ nonce: Buffer.alloc(bytes, 7), critical: true })).nonce?.length,
      bytes,
    );
  }
  for (const bytes of [0, 129, 1000]) {
    t.throws(() => parseOcspRequest(request({ nonce: Buffer.alloc(bytes) })), {
      code: 'ocsp-request-malformed',
    });
  }
  t.is(parseOcspRequest(request()).nonce, undefined);
});

test('requests beyond the limits get an unsigned error response', async (t) => {
  const { issuer } = await world();
  const responders = [await createResponder(issuer, dayMs)];
  const malformed = ocspFailure('malformedRequest');
  t.is(malformed.toString('hex'), '30030a0101');
  const answer = (body: Uint8Array): Buffer =>
    answerOcsp({ request: body, responders, statusOf, nowMs, validityMs: 1000 });
  const cases: [string, Uint8Array][] = [
    ['empty', Buffer.alloc(0)],
    ['noise', Buffer.from('hello')],
    ['1 MB', Buffer.alloc(1024 * 1024, 0x30)],
    ['too many', request({ count: 33 })],
    ['none', request({ count: 0 })],
    ['just over the limit', Buffer.concat([request(), Buffer.alloc(ocspRequestMaxBytes)])],
    [
      'an unknown critical extension',
      request({ extra: extension('1.2.3.4', integer(1), 'critical') }),
    ],
    ['trailing bytes', Buffer.concat([request(), Buffer.from([0])])],
    ['a later version', sequence(sequence(explicit(0, integer(1)), sequence()))],
    [
      'deep nesting',
      Array.from({ length: 40 }).reduce<Buffer>((inner) => sequence(inner), sequence()),
    ],
  ];
  for (const [name, body] of cases) t.deepEqual(answer(body), malformed, name);
  // Well-formed, but about certificates of another CA.
  t.is(answer(request()).toString('hex'), '30030a0106');
  t.is(answer(request({ extra: extension('1.2.3.4', integer(1)) })).toString('hex'), '30030a0106');
});

test('every mutated request gets a response', async (t) => {
  const openssl = opensslFor(t);
  if (openssl === undefined) return;
  const { issuer } = await world();
  const issuerFile = openssl.file('issuer.pem', issuer.certificate.pem);
  const out = openssl.path('request.der');
  await openssl.run('ocsp', '-issuer', issuerFile, '-serial', '0x1234', '-reqout', out);
  const original = readFileSync(out);
  const responders = [await createResponder(issuer, dayMs)];
  t.true(
    answerOcsp({ request: original, responders, statusOf, nowMs, validityMs: 1000 }).length > 100,
  );
  fc.assert(
    fc.property(fc.nat(original.length - 1), fc.nat(255), fc.boolean(), (at, byte, cut) => {
      const changed = Buffer.from(original);
      changed[at] = byte;
      const body = cut ? changed.subarray(0, at) : changed;
      const der = answerOcsp({ request: body, responders, statusOf, nowMs, validityMs: 1000 });
      decodeDer(der, { maxBytes: 10_000 });
    }),
    { numRuns: 2000 },
  );
});

test('a GET request is accepted in every encoding, within the size limit', (t) => {
  const body = request({ nonce: Buffer.alloc(32, 0xfb) });
  const base64 = body.toString('base64');
  t.deepEqual(ocspRequestOfPath(base64), body);
  t.deepEqual(ocspRequestOfPath(encodeURIComponent(base64)), body);
  for (const path of ['', '%', '%zz', 'not base64!', 'A'.repeat(1_000_000), `${base64}====`]) {
    const error = t.throws(() => ocspRequestOfPath(path));
    t.true(isFlotillaError(error, 'ocsp-request-malformed'));
  }
});

test('with two issuers, the right responder signs', async (t) => {
  const { root, issuer } = await world();
  const { hash } = await import('node:crypto');
  const { readSpkiBytes } = await import('../../../certs/public-key.ts');
  const responders = [await createResponder(root, dayMs), await createResponder(issuer, dayMs)];
  for (const [index, authority] of [root, issuer].entries()) {
    const { subject, spki } = authority.certificate;
    const id = sequence(
      sequence(oid(oids.sha256)),
      octetString(hash('sha256', subject, 'buffer')),
      octetString(hash('sha256', readSpkiBytes(spki).keyBits, 'buffer')),
      unsignedInteger(Buffer.from('80ff', 'hex')),
    );
    const body = sequence(sequence(sequence(sequence(id))));
    const asked: string[] = [];
    const der = answerOcsp({
      request: body,
      responders,
      statusOf: (serial, of) => {
        asked.push(`${serial} ${of.fingerprint}`);
        return { status: 'good' };
      },
      nowMs,
      validityMs: 1000,
    });
    t.deepEqual(asked, [`80ff ${authority.certificate.fingerprint}`]);
    t.true(der.includes(responders[index]!.certificate.der));
  }
});
