/**
 * What the feed sends of an identity, and which brokers may read it.
 *
 * @module
 */
import type { DeviceId } from '../../core/device-id.ts';
import {
  createdFeature,
  generationFeature,
  restoreFeature,
} from '../../core/protocol/broker-query.ts';
import type { DirectoryEntry } from '../../core/protocol/feed.ts';
import { assignedRole } from '../registry/assigned-role.ts';
import { defaultProfileName } from '../enrollment/profiles.ts';
import type { CertificateRecord, DeviceRecord } from '../registry/records.ts';

/** A broker and the certificate that it was admitted with. */
export interface FeedPeer {
  readonly broker: DeviceId;
  readonly fingerprint: string;
  readonly notAfterMs: number;
}

export function mayRead({ fingerprint }: FeedPeer, record: DeviceRecord | undefined): boolean {
  return (
    record?.role === 'broker' &&
    record.status === 'active' &&
    record.certificates.some((one) => one.fingerprint === fingerprint && one.status === 'active')
  );
}

/**
 * The entry of an identity in the directory. @returns undefined for one that never had a certificate
 */
export function entryOf(record: DeviceRecord): DirectoryEntry | undefined {
  const { id, status, group, attributes, certificates, createdAtMs, profile } = record;
  if (status === 'pending') return undefined;
  return {
    id,
    role: assignedRole(record),
    status,
    group,
    attributes: { ...attributes },
    certificates: sentCertificates(certificates).map(
      ({ serial, fingerprint, notBeforeMs, notAfterMs, ...rest }) => ({
        serial,
        fingerprint,
        notBeforeMs,
        notAfterMs,
        status: rest.status,
        ...(rest.names === undefined ? {} : { issuer: rest.issuer }),
      }),
    ),
    createdAtMs,
    ...(profile === defaultProfileName ? {} : { profile }),
  };
}

/** How many dead certificates are sent, so that the refusal of the usual ones names its reason. */
const deadSentMax = { besideActive: 1, alone: 2 } as const;

/** The certificates that a broker may accept, and the newest of the others. */
function sentCertificates(all: readonly CertificateRecord[]): readonly CertificateRecord[] {
  const dead = all.filter(({ status }) => status !== 'active');
  const max = dead.length < all.length ? deadSentMax.besideActive : deadSentMax.alone;
  const left = new Set(dead.slice(0, -max));
  return left.size === 0 ? all : all.filter((one) => !left.has(one));
}

/** What only brokers with a feature understand: the name of a number in a line, by feature. */
const numbersOf: readonly (readonly [feature: string, name: string])[] = [
  [createdFeature, 'createdAtMs'],
  [generationFeature, 'commit'],
];

/** A line of the feed as a broker with these features understands it. */
export function lineFor(features: readonly string[], line: string): string {
  const unknown = numbersOf
    .filter(([feature, name]) => !features.includes(feature) && line.includes(`"${name}"`))
    .map(([, name]) => name);
  const hidesOrigin = !features.includes(restoreFeature) && /"(?:profile|issuer)"/.test(line);
  if (unknown.length === 0 && !hidesOrigin) return line;
  // Attributes are texts: one with such a name stays.
  return `${JSON.stringify(JSON.parse(line), (key, value: unknown) => {
    if (unknown.includes(key) && typeof value === 'number') return undefined;
    return hidesOrigin ? withoutOrigin(value) : value;
  })}\n`;
}

/** An entry or a certificate without what only a restore needs; anything else as it is. */
function withoutOrigin(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const isEntry = 'certificates' in value && typeof value.certificates === 'object';
  const isCertificate = 'notAfterMs' in value && typeof value.notAfterMs === 'number';
  if (!isEntry && !isCertificate) return value;
  const hidden = isEntry ? 'profile' : 'issuer';
  return Object.fromEntries(Object.entries(value).filter(([name]) => name !== hidden));
}
