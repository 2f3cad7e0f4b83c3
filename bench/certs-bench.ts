/**
 * The cost of certificates: CPU time of each step of an enrollment, of an OCSP response, and of a CRL
 * with 100,000 entries, with the longest time that it blocked the event loop.
 *
 * ```
 * node bench/certs-bench.ts [--json]
 * ```
 *
 * The exit code is 3 when a limit is exceeded: 0.5 ms of CPU for parsing a P-256 request and issuing, and
 * 2 s for the CRL without blocking the event loop for more than 50 ms.
 *
 * @module
 */
import { hash, randomBytes } from 'node:crypto';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises';
import { Authority, createRoot } from '../certs/authority.ts';
import { readCertificate } from '../certs/certificate.ts';
import { CrlEntries } from '../certs/crl-entries.ts';
import { signCrl } from '../certs/crl.ts';
import { createCsr, parseCsr } from '../certs/csr.ts';
import { generateKey, generateKeySync, spkiOf, type KeyType } from '../certs/key.ts';
import { answerOcsp, createResponder } from '../certs/ocsp.ts';
import { integer, octetString, oid, sequence } from '../certs/der-encode.ts';
import { oids } from '../certs/oids.ts';
import { readSpkiBytes } from '../certs/public-key.ts';
import { systemClock } from '../core/clock.ts';
import { dayMs } from '../core/config/duration.ts';

const rounds = 2000;

interface Row {
  readonly step: string;
  readonly cpuMicros: number;
}

/** CPU time of one call, user and system: the best of three runs after a warm-up. */
function measure(step: string, call: () => unknown): Row {
  let best = Infinity;
  for (let run = 0; run < 4; run++) {
    const before = process.cpuUsage();
    for (let i = 0; i < rounds; i++) call();
    const { user, system } = process.cpuUsage(before);
    if (run > 0) best = Math.min(best, (user + system) / rounds);
  }
  return { step, cpuMicros: Math.round(best * 10) / 10 };
}

async function authorityOf(type: KeyType): Promise<Authority> {
  const key = await generateKey(type);
  const root = createRoot({
    commonName: 'Bench',
    validityMs: 365 * dayMs,
    key,
    clock: systemClock,
  });
  return new Authority({ key, certificate: root.der, clock: systemClock });
}

async function enrollmentRows(): Promise<Row[]> {
  const rows: Row[] = [];
  const subjects: KeyType[] = ['p256', 'p384', 'ed25519', 'rsa2048', 'rsa4096'];
  for (const type of subjects) {
    const { pem } = createCsr({ key: await generateKey(type), commonName: 'dev-1' });
    rows.push(measure(`parse and verify a ${type} request`, () => parseCsr(pem)));
  }
  const spki = spkiOf(generateKeySync('p256'));
  for (const type of ['p256', 'p384', 'ed25519', 'rsa2048'] as const) {
    const authority = await authorityOf(type);
    const options = { spki, profile: 'device', commonName: 'dev-1', validityMs: dayMs } as const;
    rows.push(measure(`issue by a ${type} CA`, () => authority.issue(options)));
  }
  const authority = await authorityOf('p256');
  const { pem } = createCsr({ key: generateKeySync('p256'), commonName: 'dev-1' });
  rows.push(
    measure('parse, verify and issue, all P-256', () => {
      const csr = parseCsr(pem);
      return authority.issue({
        spki: csr.spki,
        profile: 'device',
        commonName: 'dev-1',
        validityMs: dayMs,
      });
    }),
  );
  const { der } = authority.issue({
    spki,
    profile: 'device',
    commonName: 'dev-1',
    validityMs: dayMs,
  });
  rows.push(measure('read a certificate', () => readCertificate(der)));
  return rows;
}

async function ocspRow(): Promise<Row> {
  const authority = await authorityOf('p256');
  const responders = [await createResponder(authority, dayMs)];
  const { subject, spki } = authority.certificate;
  const id = sequence(
    sequence(oid(oids.sha256)),
    octetString(hash('sha256', subject, 'buffer')),
    octetString(hash('sha256', readSpkiBytes(spki).keyBits, 'buffer')),
    integer(0x1234),
  );
  const request = sequence(sequence(sequence(sequence(id))));
  const options = { request, responders, nowMs: Date.now(), validityMs: dayMs } as const;
  return measure('answer an OCSP request', () =>
    answerOcsp({ ...options, statusOf: () => ({ status: 'good' }) }),
  );
}

async function crlRow(): Promise<{ entries: number; ms: number; heldMs: number }> {
  const signer = await authorityOf('p256');
  const entries = 100_000;
  const atMs = Date.now();
  const revoked = Array.from({ length: entries }, () => ({
    serial: `4${randomBytes(16).toString('hex').slice(1)}`,
    atMs,
    reason: 'cessationOfOperation' as const,
  }));
  const held = monitorEventLoopDelay({ resolution: 1 });
  await delay(20);
  held.enable();
  const startedMs = performance.now();
  const list = new CrlEntries();
  for (const [at, one] of revoked.entries()) {
    list.add(one);
    if (at % 2048 === 0) await turn();
  }
  const dates = { thisUpdateMs: atMs, nextUpdateMs: atMs + dayMs };
  await signCrl({ signer, number: 1, ...dates, entries: list });
  const ms = performance.now() - startedMs;
  await delay(5);
  held.disable();
  return { entries, ms: Math.round(ms), heldMs: Math.round(held.max / 1e5) / 10 };
}

const crl = await crlRow();
const rows = [...(await enrollmentRows()), await ocspRow()];
const whole = rows.find(({ step }) => step.startsWith('parse, verify'))?.cpuMicros ?? Infinity;
const ok = whole < 500 && crl.ms < 2000 && crl.heldMs < 50;
if (process.argv.includes('--json')) {
  process.stdout.write(`${JSON.stringify({ rows, crl, ok })}\n`);
} else {
  for (const { step, cpuMicros } of rows) {
    process.stdout.write(`${step.padEnd(40)} ${cpuMicros.toFixed(1).padStart(8)} µs of CPU\n`);
  }
  process.stdout.write(
    `CRL of ${crl.entries} entries signed in ${crl.ms} ms, event loop blocked for at most ${crl.heldMs} ms\n`,
  );
}
process.exitCode = ok ? 0 : 3;
