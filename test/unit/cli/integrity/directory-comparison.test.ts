import test from 'ava';
import {
  lossOfEntry,
  type KnownToRegistry,
} from '../../../../cli/integrity/directory-comparison.ts';
import { parseDeviceId } from '../../../../core/device-id.ts';
import type { DirectoryEntry } from '../../../../core/protocol/feed.ts';
import type { CertificateRecord, DeviceRecord } from '../../../../enroll/registry/records.ts';
import { deviceRow } from '../../../contract/registry.ts';

const nowMs = 1_000_000;
const id = parseDeviceId('pump-7');

function fingerprint(digit: string): string {
  return `sha256:${digit.repeat(64)}`;
}

function known(
  digit: string,
  fromMs: number,
  status: CertificateRecord['status'],
): CertificateRecord {
  return {
    serial: digit.repeat(2),
    fingerprint: fingerprint(digit),
    keyFingerprint: fingerprint(digit),
    key: '',
    issuer: fingerprint('0'),
    notBeforeMs: fromMs,
    notAfterMs: nowMs + 1,
    status,
  };
}

function entry(...certificates: CertificateRecord[]): DirectoryEntry {
  return {
    id,
    role: 'device',
    status: 'active',
    group: null,
    attributes: {},
    certificates: certificates.map(
      ({ serial, fingerprint: print, notBeforeMs, notAfterMs, status }) => ({
        serial,
        fingerprint: print,
        notBeforeMs,
        notAfterMs,
        status,
      }),
    ),
  };
}

function registry(
  certificates?: readonly CertificateRecord[],
  revoked: string[] = [],
): KnownToRegistry {
  const row: DeviceRecord | undefined =
    certificates === undefined ? undefined : { ...deviceRow('pump-7'), certificates };
  return { device: () => row, isRevoked: (serial) => revoked.includes(serial) };
}

test('a certificate or a revocation that only the broker knows shows an older registry', (t) => {
  const [old, fresh] = [known('a', 1, 'active'), known('b', 2, 'active')];
  t.regex(
    lossOfEntry(entry(old, fresh), registry([old]), nowMs) ?? '',
    /does not have certificate bb/,
  );
  t.regex(lossOfEntry(entry(old), registry(), nowMs) ?? '', /does not have certificate aa/);
  const revoked = { ...old, status: 'revoked' } as const;
  t.regex(
    lossOfEntry(entry(revoked), registry([old]), nowMs) ?? '',
    /active in the registry, revoked/,
  );
});

test('a broker that is behind shows nothing', (t) => {
  const [old, fresh] = [known('a', 1, 'active'), known('b', 2, 'active')];
  t.is(lossOfEntry(entry(old), registry([old, fresh]), nowMs), undefined);
  t.is(lossOfEntry(entry(old), registry([{ ...old, status: 'revoked' }]), nowMs), undefined);
  // Deleted: the certificate is on the list of revocations. Expired or replaced: it was dropped.
  t.is(lossOfEntry(entry(old), registry(undefined, ['aa']), nowMs), undefined);
  t.is(lossOfEntry(entry(old), registry(), nowMs + 5), undefined);
  t.is(lossOfEntry(entry(old), registry([fresh]), nowMs), undefined);
});
