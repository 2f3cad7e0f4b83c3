import { randomBytes } from 'node:crypto';
import test from 'ava';
import fc from 'fast-check';
import { createRoot } from '../../../certs/authority.ts';
import { readCertificate } from '../../../certs/certificate.ts';
import { systemClock } from '../../../core/clock.ts';
import { CrlEntries, crlReasonCodes, type RevokedCertificate } from '../../../certs/crl-entries.ts';
import { parseCrl, signCrl as signPieces, type CrlOptions } from '../../../certs/crl.ts';
import { pemOf } from '../../../certs/pem.ts';
import { isFlotillaError } from '../../../core/errors/flotilla-error.ts';
import { X509Certificate as PeculiarCertificate, X509Crl } from '../../support/certs-peculiar.ts';
import { opensslFor } from '../../support/certs-openssl.ts';
import { dayMs, keyFor, quickKeyTypes, world } from '../../support/certs-world.ts';
import { spkiOf } from '../../../certs/key.ts';

const signCrl = async (options: CrlOptions): Promise<Buffer> =>
  Buffer.concat(await signPieces(options));
const nowMs = Math.floor(Date.now() / 1000) * 1000;
const dates = { thisUpdateMs: nowMs - 60_000, nextUpdateMs: nowMs + 7 * dayMs };

for (const type of quickKeyTypes) {
  test(`a list signed by a ${type} CA is one that openssl checks certificates by`, async (t) => {
    const openssl = opensslFor(t);
    if (openssl === undefined) return;
    const { root, issuer } = await world(type);
    const spki = spkiOf(await keyFor('p256', 'subject'));
    const issue = (): { pem: string; serial: string } =>
      issuer.issue({ spki, profile: 'device', commonName: 'd', validityMs: dayMs });
    const [good, bad] = [issue(), issue()];
    const ofIssuer = await signCrl({
      signer: issuer,
      number: 7,
      ...dates,
      entries: CrlEntries.of([{ serial: bad.serial, atMs: nowMs - 1000, reason: 'keyCompromise' }]),
    });
    const ofRoot = await signCrl({ signer: root, number: 1, ...dates, entries: new CrlEntries() });
    const rootFile = openssl.file('root.pem', root.certificate.pem);
    const crls = openssl.file('crls.pem', pemOf('X509 CRL', ofIssuer) + pemOf('X509 CRL', ofRoot));
    const issuerFile = openssl.file('issuer.pem', issuer.certificate.pem);
    const check = (name: string, pem: string): ReturnType<typeof openssl.run> => {
      const args = ['-CAfile', rootFile, '-untrusted', issuerFile, '-CRLfile', crls];
      return openssl.run(
        'verify',
        '-x509_strict',
        '-crl_check_all',
        ...args,
        openssl.file(name, pem),
      );
    };
    const forGood = await check('good.pem', good.pem);
    t.is(forGood.code, 0, forGood.stderr);
    const forBad = await check('bad.pem', bad.pem);
    t.not(forBad.code, 0);
    t.regex(forBad.stderr + forBad.stdout, /certificate revoked/);
    const der = openssl.file('crl.der', ofIssuer);
    const text = await openssl.run(
      'crl',
      '-inform',
      'DER',
      '-in',
      der,
      '-noout',
      '-text',
      '-CAfile',
      issuerFile,
    );
    t.is(text.code, 0, text.stderr);
    t.regex(text.stderr, /verify OK/);
    t.regex(text.stdout, /Key Compromise/);
    t.regex(text.stdout, /X509v3 CRL Number: \n\s+7\n/);
  });
}

test('a second library reads the same revocations', async (t) => {
  const { issuer } = await world();
  const revoked: RevokedCertificate[] = [
    { serial: '01', atMs: nowMs - 5000 },
    { serial: 'fe01', atMs: nowMs - 4000, reason: 'superseded' },
    { serial: '7f'.repeat(20), atMs: nowMs - 3000, reason: 'unspecified' },
  ];
  const crl = new X509Crl(
    await signCrl({ signer: issuer, number: 3, ...dates, entries: CrlEntries.of(revoked) }),
  );
  t.is(crl.issuer, 'CN=Test issuer');
  t.is(crl.thisUpdate.getTime(), dates.thisUpdateMs);
  t.is(crl.nextUpdate?.getTime(), dates.nextUpdateMs);
  t.deepEqual(
    crl.entries.map((entry) => [entry.serialNumber, entry.revocationDate.getTime(), entry.reason]),
    [
      ['01', nowMs - 5000, undefined],
      ['fe01', nowMs - 4000, crlReasonCodes.superseded],
      ['7f'.repeat(20), nowMs - 3000, undefined],
    ] as never,
  );
  t.true(
    await crl.verify({ publicKey: new PeculiarCertificate(issuer.certificate.der).publicKey }),
  );
});

test('any entries can be encoded and decoded', async (t) => {
  const { issuer } = await world('ed25519');
  const entry = fc.record({
    serial: fc.uint8Array({ minLength: 1, maxLength: 19 }).map((bytes) => {
      bytes[0] = (bytes[0]! % 127) + 1;
      return Buffer.from(bytes).toString('hex');
    }),
    atMs: fc.integer({ min: 0, max: 4_000_000_000 }).map((seconds) => seconds * 1000),
    reason: fc.constantFrom(...(Object.keys(crlReasonCodes) as (keyof typeof crlReasonCodes)[])),
  });
  const lists = fc.uniqueArray(entry, { selector: ({ serial }) => serial, maxLength: 50 });
  await fc.assert(
    fc.asyncProperty(lists, fc.bigInt({ min: 0n, max: 2n ** 64n }), async (revoked, number) => {
      const crl = await parseCrl(
        await signCrl({ signer: issuer, number, ...dates, entries: CrlEntries.of(revoked) }),
        issuer.certificate,
      );
      t.is(crl.number, number);
      t.is(crl.thisUpdateMs, dates.thisUpdateMs);
      t.is(crl.nextUpdateMs, dates.nextUpdateMs);
      const plain = revoked.map(({ serial, atMs, reason }) =>
        reason === 'unspecified' ? { serial, atMs } : { serial, atMs, reason },
      );
      t.deepEqual([...crl.revoked.values()], plain);
    }),
    { numRuns: 50 },
  );
});

test('CRLs of other issuers, and CRLs with any changed byte, are rejected with their own error', async (t) => {
  const { issuer, root } = await world();
  const revoked = [{ serial: 'ab', atMs: nowMs, reason: 'superseded' as const }];
  const der = await signCrl({
    signer: issuer,
    number: 1,
    ...dates,
    entries: CrlEntries.of(revoked),
  });
  await t.throwsAsync(parseCrl(der, root.certificate), { code: 'crl-untrusted' });
  // A CA with the same key and another name is another CA.
  const { signer, certificate } = issuer;
  const key = signer.privateKey!;
  const namesake = createRoot({ commonName: 'Other', validityMs: dayMs, key, clock: systemClock });
  t.is(namesake.keyFingerprint, certificate.keyFingerprint);
  await t.throwsAsync(parseCrl(der, readCertificate(namesake.der)), {
    code: 'crl-untrusted',
    message: /another CA/,
  });
  for (let at = 0; at < der.length; at++) {
    for (const flip of [0x01, 0x20, 0x80]) {
      const changed = Buffer.from(der);
      changed[at] = changed[at]! ^ flip;
      const error = await parseCrl(changed, issuer.certificate).then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      const known =
        isFlotillaError(error, 'crl-malformed') || isFlotillaError(error, 'crl-untrusted');
      if (!known) t.fail(`byte ${at} ^ ${flip}: ${String(error)}`);
    }
  }
  for (const cut of [0, 1, 2, 10, der.length - 1]) {
    await t.throwsAsync(parseCrl(der.subarray(0, cut), issuer.certificate), {
      code: 'crl-malformed',
    });
  }
});

test.serial(
  'a CRL of 100,000 entries is signed outside the event loop and read in slices',
  async (t) => {
    const { issuer } = await world();
    const revoked = Array.from({ length: 100_000 }, () => ({
      serial: `4${randomBytes(16).toString('hex').slice(1)}`,
      atMs: nowMs - 1000,
      reason: 'cessationOfOperation' as const,
    }));
    const entries = CrlEntries.of(revoked);
    const signing = await watched(() => signCrl({ signer: issuer, number: 2, ...dates, entries }));
    const reading = await watched(() => parseCrl(signing.result, issuer.certificate));
    t.log({ bytes: signing.result.length, signing: signing.seen, reading: reading.seen });
    t.is(reading.result.revoked.size, 100_000);
    // The limits are 2 s and 50 ms, which bench/enroll-bench.ts measures. Other tests run at the same
    // time, so this test checks only that the event loop is not blocked.
    t.true(signing.seen.turns >= 2, `${signing.seen.turns} turns`);
    t.true(reading.seen.turns >= 8, `${reading.seen.turns} turns`);
  },
);

/** Runs a function and counts the turns of the event loop in the meantime. */
async function watched<T>(
  run: () => Promise<T>,
): Promise<{ result: T; seen: { turns: number; ms: number } }> {
  let turns = 0;
  let ended = false;
  const tick = (): void => {
    turns += 1;
    if (!ended) setImmediate(tick);
  };
  setImmediate(tick);
  const startedMs = performance.now();
  const result = await run();
  ended = true;
  return { result, seen: { turns, ms: performance.now() - startedMs } };
}
