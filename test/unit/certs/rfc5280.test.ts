import test from 'ava';
import { contextTag, decodeDer, tags, type DerNode } from '../../../certs/der.ts';
import { Fields, oidOf, timeOf } from '../../../certs/der-fields.ts';
import { readExtensions, type Extension } from '../../../certs/extensions.ts';
import { spkiOf } from '../../../certs/key.ts';
import { oids } from '../../../certs/oids.ts';
import { certificateProfiles, profiles } from '../../../certs/profile.ts';
import { subjectNamesOf } from '../../../certs/subject-names.ts';
import { dayMs, keyFor, quickKeyTypes, world } from '../../support/certs-world.ts';

/** A decoded certificate. */
interface Parts {
  readonly selfIssued: boolean;
  readonly version: DerNode;
  readonly serial: DerNode;
  readonly inner: DerNode;
  readonly outer: DerNode;
  readonly issuer: DerNode;
  readonly subject: DerNode;
  readonly validity: DerNode;
  readonly extensions: ReadonlyMap<string, Extension>;
  readonly signature: DerNode;
}

const decode = (der: Uint8Array): DerNode => decodeDer(der, { maxBytes: 16_384 });

function take(der: Buffer): Parts {
  const certificate = new Fields(decode(der), tags.sequence, 'certificate');
  const tbs = new Fields(certificate.next(tags.sequence), tags.sequence, 'tbs');
  const outer = certificate.next(tags.sequence);
  const signature = certificate.next(tags.bitString);
  certificate.end();
  const version = tbs.next(contextTag(0)).children[0]!;
  const serial = tbs.next(tags.integer);
  const inner = tbs.next(tags.sequence);
  const issuer = tbs.next(tags.sequence);
  const validity = tbs.next(tags.sequence);
  const subject = tbs.next(tags.sequence);
  tbs.next(tags.sequence);
  const extensions = readExtensions(tbs.next(contextTag(3)).children[0]!);
  tbs.end();
  const selfIssued = issuer.der.equals(subject.der);
  return {
    selfIssued,
    version,
    serial,
    inner,
    outer,
    issuer,
    subject,
    validity,
    extensions,
    signature,
  };
}

const valueOf = (parts: Parts, oid: string): DerNode | undefined => {
  const found = parts.extensions.get(oid);
  return found === undefined ? undefined : decode(found.value);
};
const isCa = (parts: Parts): boolean =>
  valueOf(parts, oids.basicConstraints)?.children.length !== 0;
const usageBit = (parts: Parts, bit: number): boolean => {
  const bits = valueOf(parts, oids.keyUsage)!.content.subarray(1);
  return ((bits[bit >> 3] ?? 0) & (0x80 >> (bit & 7))) !== 0;
};
const critical = (parts: Parts, oid: string): boolean | undefined =>
  parts.extensions.get(oid)?.critical;

/** The requirements of RFC 5280 for issuers, by section. */
const rules: readonly (readonly [string, (parts: Parts) => boolean])[] = [
  [
    '4.1.1.2 both algorithm identifiers are the same',
    ({ inner, outer }) => inner.der.equals(outer.der),
  ],
  ['4.1.1.3 the signature has no unused bits', ({ signature }) => signature.content[0] === 0],
  ['4.1.2.1 version 3', ({ version }) => version.content.equals(Buffer.from([2]))],
  [
    '4.1.2.2 the serial number is positive, of at most 20 octets',
    ({ serial: { content } }) =>
      content.length <= 20 && content[0]! < 0x80 && content.some((octet) => octet !== 0),
  ],
  ['4.1.2.4 the issuer has a name', ({ issuer }) => issuer.children.length > 0],
  [
    '4.1.2.4 names are PrintableString or UTF8String',
    ({ issuer, subject }) =>
      [...issuer.children, ...subject.children].every((part) =>
        [tags.utf8String, tags.printableString].includes(
          part.children[0]!.children[1]!.tag as never,
        ),
      ),
  ],
  [
    '4.1.2.5 dates up to 2049 are UTCTime, later ones GeneralizedTime',
    ({ validity }) =>
      validity.children.every(
        (date) => (date.tag === tags.utcTime) === timeOf(date) < Date.UTC(2050, 0, 1),
      ),
  ],
  [
    '4.1.2.5 it ends after it begins',
    ({ validity }) => timeOf(validity.children[0]!) < timeOf(validity.children[1]!),
  ],
  ['4.1.2.6 a CA has a subject', ({ subject }) => subject.children.length > 0],
  [
    '4.2.1.1 the authority key identifier is present unless self-issued, by key, and not critical',
    (parts) =>
      parts.selfIssued ||
      (critical(parts, oids.authorityKeyIdentifier) === false &&
        valueOf(parts, oids.authorityKeyIdentifier)!.children[0]!.tag ===
          contextTag(0, 'primitive')),
  ],
  [
    '4.2.1.2 the subject key identifier is present and not critical',
    (parts) => critical(parts, oids.subjectKeyIdentifier) === false,
  ],
  [
    '4.2.1.3 key usage is present, critical, and not empty',
    (parts) =>
      critical(parts, oids.keyUsage) === true && valueOf(parts, oids.keyUsage)!.content.length > 1,
  ],
  [
    '4.2.1.3 only a CA has the usages for certificates and CRLs, and no others',
    (parts) =>
      usageBit(parts, 5) === isCa(parts) &&
      usageBit(parts, 6) === isCa(parts) &&
      usageBit(parts, 0) !== isCa(parts),
  ],
  [
    '4.2.1.6 alternative names are not critical if there is a subject',
    (parts) => critical(parts, oids.subjectAltName) !== true,
  ],
  [
    '4.2.1.9 basic constraints are critical, a path length only with a CA',
    (parts) =>
      critical(parts, oids.basicConstraints) === true &&
      (isCa(parts) || valueOf(parts, oids.basicConstraints)!.children.length === 0),
  ],
  [
    '4.2.1.12 extended usages of a leaf are present, not critical, and unique',
    (parts) => {
      const usages = valueOf(parts, oids.extendedKeyUsage)?.children.map(oidOf) ?? [];
      return isCa(parts)
        ? usages.length === 0
        : usages.length > 0 &&
            new Set(usages).size === usages.length &&
            critical(parts, oids.extendedKeyUsage) === false;
    },
  ],
  [
    '4.2.1.13 the distribution point is not critical, and http',
    (parts) =>
      critical(parts, oids.crlDistributionPoints) !== true &&
      (parts.extensions.get(oids.crlDistributionPoints)?.value.includes('http://') ?? true),
  ],
  [
    '4.2.2.1 authority information access is not critical',
    (parts) => critical(parts, oids.authorityInfoAccess) !== true,
  ],
  [
    '4.2 no unexpected extension',
    (parts) => [...parts.extensions.keys()].every((oid) => expected.has(oid)),
  ],
  [
    'A.1 a common name has at most 64 characters',
    ({ subject }) => subject.children[0]!.children[0]!.children[1]!.content.length <= 64,
  ],
];

const expected = new Set<string>([
  oids.authorityKeyIdentifier,
  oids.subjectKeyIdentifier,
  oids.keyUsage,
  oids.extendedKeyUsage,
  oids.basicConstraints,
  oids.subjectAltName,
  oids.crlDistributionPoints,
  oids.authorityInfoAccess,
  oids.ocspNoCheck,
]);

for (const type of quickKeyTypes) {
  test(`everything that a ${type} CA issues follows the rules of RFC 5280`, async (t) => {
    const urls = {
      crl: 'http://a.example/crl',
      ocsp: 'http://a.example/ocsp',
      caIssuers: 'http://a.example/ca',
    };
    const { root, issuer } = await world(type, { urls });
    const spki = spkiOf(await keyFor('p256', 'subject'));
    const made: [string, Buffer][] = [
      ['root', root.certificate.der],
      ['issuer', issuer.certificate.der],
    ];
    for (const profile of certificateProfiles) {
      if (profiles[profile].isCa) continue;
      for (const names of [[], ['a.example', '10.0.0.1']]) {
        const common = { spki, profile, commonName: 'some-one', names: subjectNamesOf(names) };
        for (const days of [30, 99_999]) {
          made.push([
            `${profile} ${names.length} ${days}`,
            issuer.issue({ ...common, validityMs: days * dayMs }).der,
          ]);
        }
      }
    }
    for (const [name, der] of made) {
      const parts = take(der);
      for (const [rule, holds] of rules) t.true(holds(parts), `${name}: ${rule}`);
    }
  });
}
