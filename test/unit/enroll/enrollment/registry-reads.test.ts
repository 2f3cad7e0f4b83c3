import test, { type ExecutionContext } from 'ava';
import { readCertificate } from '../../../../certs/certificate.ts';
import { createCsr } from '../../../../certs/csr.ts';
import { generateKeySync } from '../../../../certs/key.ts';
import { noNames } from '../../../../certs/subject-names.ts';
import { checkConfig, type ConfigInput } from '../../../../core/config/config.ts';
import { parseDeviceId } from '../../../../core/device-id.ts';
import { FlotillaError } from '../../../../core/errors/flotilla-error.ts';
import { silentLog } from '../../../../core/log.ts';
import type { AuditEvent } from '../../../../enroll/audit/audit-event.ts';
import { CertificateAuthority } from '../../../../enroll/ca/certificate-authority.ts';
import { Approvals } from '../../../../enroll/enrollment/approvals.ts';
import { CertificateIssuer } from '../../../../enroll/enrollment/certificate-issuer.ts';
import { Enrollment, type EnrollOutcome } from '../../../../enroll/enrollment/enrollment.ts';
import { RenewalAdviser } from '../../../../enroll/enrollment/renewal-advice.ts';
import { Renewal } from '../../../../enroll/enrollment/renewal.ts';
import { ServiceNames } from '../../../../enroll/enrollment/service-names.ts';
import { Tokens } from '../../../../enroll/enrollment/tokens.ts';
import { openLowdbRegistry } from '../../../../enroll/registry/lowdb-registry.ts';
import type { Registry } from '../../../../enroll/registry/registry.ts';
import { fakeClock } from '../../../support/fake-clock.ts';
import { tempFolder } from '../../../support/temp-folder.ts';
import { openedCa } from '../../../support/opened-ca.ts';
import { testCa } from '../../../support/test-ca.ts';

interface Counted {
  readonly registry: Registry;
  /** The reads since the last call, such as `get tokens: 1`. */
  reads(): string[];
  /** The next commits fail with `registry-conflict`. */
  conflicts: number;
}

function counted(inner: Registry): Counted {
  const counts = new Map<string, number>();
  const count = (name: string): void => void counts.set(name, (counts.get(name) ?? 0) + 1);
  const found: Counted = {
    conflicts: 0,
    reads() {
      const lines = [...counts].map(([name, times]) => `${name}: ${times}`).sort();
      counts.clear();
      return lines;
    },
    registry: {
      get number() {
        return inner.number;
      },
      get: (table, key) => {
        count(`get ${table}`);
        return inner.get(table, key);
      },
      holderOfSerial: (serial) => {
        count('holderOfSerial');
        return inner.holderOfSerial(serial);
      },
      holderOfKey: (key) => {
        count('holderOfKey');
        return inner.holderOfKey(key);
      },
      tokensOf: (device) => inner.tokensOf(device),
      requestsOf: (device) => inner.requestsOf(device),
      list: (query) => inner.list(query),
      rows: (table) => inner.rows(table),
      count: (table) => {
        count(`count ${table}`);
        return inner.count(table);
      },
      commit: (change) => {
        if (found.conflicts > 0) {
          found.conflicts--;
          return Promise.reject(new FlotillaError('registry-conflict'));
        }
        return inner.commit(change);
      },
      settled: () => inner.settled(),
      watch: (listener) => inner.watch(listener),
      close: () => inner.close(),
    },
  };
  return found;
}

async function open(t: ExecutionContext, input: ConfigInput = {}) {
  const clock = fakeClock(Date.now());
  const inner = await openLowdbRegistry(`${tempFolder(t)}/registry`, {
    clock,
    log: silentLog,
    sink: () => Promise.resolve(),
  });
  t.teardown(() => inner.close());
  const world = counted(inner);
  const { registry } = world;
  const { root, issuer } = testCa('Test', clock);
  const ca = new CertificateAuthority(openedCa(readCertificate(root), issuer));
  const config = checkConfig(input);
  const audited: AuditEvent[] = [];
  const audit = {
    append: (...events: AuditEvent[]) => Promise.resolve(void audited.push(...events)),
  };
  const tokens = new Tokens({
    registry,
    config,
    clock,
    secrets: { derive: () => Promise.resolve(undefined) },
  });
  const issuing = new CertificateIssuer({ registry, ca, config, clock });
  const serviceNames = new ServiceNames({ registry, config, clock });
  const shared = { registry, audit, ca, config, clock, issuing, serviceNames };
  const enrollment = new Enrollment({
    ...shared,
    tokens,
    hook: () => Promise.resolve({ attributes: {} }),
  });
  const renewal = new Renewal({ ...shared, adviser: new RenewalAdviser(shared) });
  const approvals = new Approvals({ registry, clock });
  return { world, enrollment, renewal, tokens, approvals, audited };
}

const device = parseDeviceId('pump-1');
const remoteAddress = '192.0.2.7';
const csrFor = (commonName: string): string =>
  createCsr({ key: generateKeySync('p256'), commonName }).pem;

function serialOf(outcome: EnrollOutcome): string {
  if (outcome.kind !== 'issued') throw new Error('no certificate was issued');
  return outcome.result.serial;
}

/** Each row that decides about a first certificate. */
const readsOfOne = [
  'get answers: 1',
  'get blockedKeys: 1',
  'get devices: 1',
  'get operators: 1',
  'get tokens: 1',
  'holderOfKey: 1',
];

/** What is read before a decision that needs no more. */
const repeatedReads = ['get answers: 1', 'get devices: 1', 'get operators: 1', 'get tokens: 1'];

test('one enrollment reads its token, its replay and its key once; a conflict reads them once more', async (t) => {
  const { world, enrollment, tokens } = await open(t);
  const [made] = await tokens.create([{ device, uses: 2 }], 'admin');
  const { token } = made!;
  world.reads();
  const csr = csrFor(device);
  const first = await enrollment.enroll({ csr, device, token, remoteAddress });
  t.deepEqual(world.reads(), readsOfOne);

  const repeated = await enrollment.enroll({ csr, device, token, remoteAddress });
  t.deepEqual(world.reads(), repeatedReads);
  t.is(serialOf(repeated), serialOf(first));

  world.conflicts = 1;
  await enrollment.enroll({ csr: csrFor(device), device, token, remoteAddress });
  t.deepEqual(
    world.reads(),
    // The name is checked before the decision that is repeated.
    readsOfOne.map((line) => (line.includes('operators') ? line : line.replace(': 1', ': 2'))),
  );
});

test('a refused enrollment reads its token once, and the audit log names the token', async (t) => {
  const { world, enrollment, tokens, audited } = await open(t);
  const [made] = await tokens.create([{ device }], 'admin');
  const { token, record } = made!;
  world.reads();
  const request = { csr: csrFor('pump-2'), device: parseDeviceId('pump-2'), token, remoteAddress };
  await t.throwsAsync(enrollment.enroll(request), { code: 'token-wrong-device' });
  t.deepEqual(world.reads(), repeatedReads);
  t.like(audited[0], {
    action: 'token-refused',
    actor: `token:${record.hash.slice(0, 16)}`,
    device: 'pump-2',
    remoteAddress,
  });
  t.is(audited.length, 1);
});

test('an enrollment that needs an approval checks its key once when it asks, and once when it is granted', async (t) => {
  const { world, enrollment, approvals } = await open(t, {
    enroll: { approval: { enabled: true } },
  });
  const request = { csr: csrFor(device), device, remoteAddress };
  const asked = await enrollment.enroll(request);
  t.is(asked.kind, 'pending');
  t.deepEqual(world.reads(), [
    'get answers: 1',
    'get blockedKeys: 1',
    'get devices: 1',
    'get operators: 1',
    'get requests: 1',
    'holderOfKey: 1',
  ]);
  const [waiting] = await approvals.list();
  await approvals.decide(waiting!.id, 'approved', 'admin');
  world.reads();
  t.is((await enrollment.enroll(request)).kind, 'issued');
  t.deepEqual(world.reads(), [
    'get answers: 1',
    'get blockedKeys: 1',
    'get devices: 1',
    'get operators: 1',
    'get requests: 1',
    'holderOfKey: 1',
  ]);
});

test('one renewal reads the holder, its replay and its key once', async (t) => {
  const { world, enrollment, renewal, tokens } = await open(t);
  const [made] = await tokens.create([{ device }], 'admin');
  const { token } = made!;
  const outcome = await enrollment.enroll({ csr: csrFor(device), device, token, remoteAddress });
  if (outcome.kind !== 'issued') return t.fail();
  world.reads();
  const { serial, fingerprint } = outcome.result;
  const renewed = await renewal.renew({
    csr: csrFor(device),
    serial,
    fingerprint,
    names: noNames,
    sameNames: false,
    remoteAddress,
    via: 'https',
  });
  t.not(renewed.serial, serial);
  t.deepEqual(world.reads(), [
    'get answers: 1',
    'get blockedKeys: 1',
    'holderOfKey: 1',
    'holderOfSerial: 1',
  ]);
});
