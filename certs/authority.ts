/**
 * A certificate authority: its key, its certificate, and issuing certificates.
 *
 * The contents of a certificate are decided here and by the caller, never by a request: the subject is
 * one common name, the usage comes from the table of profiles, the serial number is random, and the end
 * is never after that of the issuer.
 *
 * @module
 */
import { hash, KeyObject, randomBytes } from 'node:crypto';
import type { Clock } from '../core/clock.ts';
import { isDeviceId } from '../core/device-id.ts';
import { printable } from '../core/escape.ts';
import { FlotillaError, messageOf } from '../core/errors/flotilla-error.ts';
import { signatureAlgorithm, signDer } from './algorithms.ts';
import { readCertificate, type CertificateFacts } from './certificate.ts';
import { contextTag, DerError } from './der.ts';
import {
  bitString,
  derNull,
  derTrue,
  element,
  explicit,
  integer,
  namedBits,
  octetString,
  oid,
  sequence,
  time,
  unsignedInteger,
} from './der-encode.ts';
import { authorityPoints, type AuthorityUrls } from './authority-points.ts';
import { assertFitsCommonName, nameOf } from './distinguished-name.ts';
import { extension } from './extensions.ts';
import { fingerprintOf, keyTypeOf, spkiOf } from './key.ts';
import { oids } from './oids.ts';
import { pemOf } from './pem.ts';
import { keySigner, type Signer } from './signer.ts';
import { profiles, type CertificateProfile } from './profile.ts';
import { readSpkiBytes, type PublicKeyFacts } from './public-key.ts';
import { encodeNames, isEmptyNames, noNames, type SubjectNames } from './subject-names.ts';

/** How long before now a certificate begins, for devices with slow clocks. */
export const backdateMs = 5 * 60_000;

/**
 * Whether a certificate was issued at this time or later, as far as its beginning shows: it is {@link backdateMs} before
 * the issuing, at a whole second (RFC 5280, 4.1.2.5).
 */
export function isIssuedSince(notBeforeMs: number, sinceMs: number): boolean {
  const firstMs = sinceMs - backdateMs;
  return notBeforeMs >= firstMs - (firstMs % 1000);
}

export interface IssuedCertificate {
  readonly der: Buffer;
  readonly pem: string;
  /** Lower-case hexadecimal, even count of digits. */
  readonly serial: string;
  readonly fingerprint: string;
  /** Over the SPKI. */
  readonly keyFingerprint: string;
  /** Whole seconds. */
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

export interface RootOptions {
  /** A descriptive name, 1 to 64 characters. */
  readonly commonName: string;
  readonly validityMs: number;
  readonly key: KeyObject;
  readonly clock: Clock;
  /** Default: a root that signs issuers. */
  readonly profile?: 'root' | 'device-servers-root';
}

export interface AuthorityOptions {
  /** The CA's private key, or what signs with it. */
  readonly key: KeyObject | Signer;
  /** The CA's certificate: DER or PEM. */
  readonly certificate: Buffer | string;
  readonly clock: Clock;
  readonly urls?: AuthorityUrls;
}

export interface IssueOptions {
  /** The public key of the subject: SubjectPublicKeyInfo, DER. It is validated again here. */
  readonly spki: Buffer;
  readonly profile: CertificateProfile;
  /** An identity; for issuers and OCSP responders, a descriptive name of 1 to 64 characters. */
  readonly commonName: string;
  readonly names?: SubjectNames;
  /** Counted from now; limited to the end of the issuer's certificate. */
  readonly validityMs: number;
  /** Default: five minutes ago; never before the start of the issuer's certificate. */
  readonly notBeforeMs?: number;
  /** Hexadecimal (default: 16 random bytes). */
  readonly serial?: string;
}

/** Creates a self-signed root. @throws FlotillaError `certificate-subject-invalid`, `ca-key-unsupported` */
export function createRoot({ key, ...options }: RootOptions): IssuedCertificate {
  assertCaKey(assertPrivate(key));
  return signNow(rootContents(options, key), key);
}

/** Creates a self-signed root whose key is anywhere. @throws FlotillaError as {@link createRoot}, `ca-token-failed` */
export async function signRoot(
  options: Omit<RootOptions, 'key'>,
  signer: Signer,
): Promise<IssuedCertificate> {
  assertCaKey(signer.publicKey);
  return signLater(rootContents(options, signer.publicKey), signer);
}

function rootContents(
  { commonName, validityMs, clock, profile = 'root' }: Omit<RootOptions, 'key'>,
  key: KeyObject,
): Contents {
  const now = clock.now();
  return {
    subject: readSpkiBytes(spkiOf(key)),
    profile,
    subjectName: nameOf(checkedCommonName(profile, commonName)),
    names: noNames,
    notBeforeMs: now - backdateMs,
    notAfterMs: now + validityMs,
    serial: randomSerial(),
    issuerName: undefined,
    issuerKeyId: undefined,
    key,
    points: [],
  };
}

/** A CA that issues. */
export class Authority {
  readonly certificate: CertificateFacts;
  /** Only for the modules in certs/ that sign for this CA. */
  readonly signer: Signer;
  /** The SHA-256 key identifier of this CA, which its certificates contain. */
  readonly keyId: Buffer;
  readonly #clock: Clock;
  readonly #points: readonly Buffer[];

  /**
   * @throws FlotillaError `certificate-unreadable`, `ca-certificate-invalid` (not a CA, or without a
   *   key identifier), `ca-key-mismatch`, `ca-key-unsupported`
   */
  constructor({ key, certificate, clock, urls = {} }: AuthorityOptions) {
    const signer = key instanceof KeyObject ? keySigner(assertPrivate(key)) : key;
    assertCaKey(signer.publicKey);
    this.certificate = readCertificate(certificate);
    const { isCa, subjectKeyId, spki } = this.certificate;
    if (!isCa || subjectKeyId === undefined) throw new FlotillaError('ca-certificate-invalid');
    if (!spkiOf(signer.publicKey).equals(spki)) throw new FlotillaError('ca-key-mismatch');
    this.signer = signer;
    this.keyId = subjectKeyId;
    this.#clock = clock;
    this.#points = authorityPoints(urls);
  }

  /**
   * Issues a certificate with a key in memory, on the event loop: 0.1 ms with an EC key. A service uses {@link sign},
   * because its key may be on a token.
   *
   * @throws TypeError when the key is not in memory
   * @throws FlotillaError `ca-expired`, `certificate-subject-invalid`, `device-id-too-long`, `subject-name-invalid`,
   *   `csr-key-unsupported` (also for this CA's own key), `csr-malformed` for an invalid SPKI
   */
  issue(options: IssueOptions): IssuedCertificate {
    const { privateKey } = this.signer;
    if (privateKey === undefined) throw new TypeError('the key of the CA is not in memory');
    return signNow(this.#contents(options), privateKey);
  }

  /** Issues a certificate, wherever the key is. @throws FlotillaError as {@link issue}, and `ca-token-failed` */
  async sign(options: IssueOptions): Promise<IssuedCertificate> {
    return signLater(this.#contents(options), this.signer);
  }

  #contents(options: IssueOptions): Contents {
    const { profile, commonName, names = noNames, validityMs, serial = randomSerial() } = options;
    const now = this.#clock.now();
    const issuer = this.certificate;
    if (now >= issuer.notAfterMs) throw new FlotillaError('ca-expired');
    const subject = checkedSpki(options.spki);
    if (subject.spki.equals(issuer.spki)) {
      throw new FlotillaError('csr-key-unsupported', { detail: "the CA's own key" });
    }
    if (
      !/^(?:[0-9a-f]{2}){1,20}$/.test(serial) ||
      /^[89a-f].{39}$/.test(serial) ||
      /^0+$/.test(serial)
    ) {
      throw new RangeError('a serial number is 1 to 20 octets, positive');
    }
    return {
      subject,
      profile,
      subjectName: nameOf(checkedCommonName(profile, commonName)),
      names,
      notBeforeMs: Math.max(options.notBeforeMs ?? now - backdateMs, issuer.notBeforeMs),
      notAfterMs: Math.min(now + validityMs, issuer.notAfterMs),
      serial,
      issuerName: issuer.subject,
      issuerKeyId: this.keyId,
      key: this.signer.publicKey,
      points: profiles[profile].ocspNoCheck ? [] : this.#points,
    };
  }

  /**
   * Issues a cross certificate: the name, the key and the key identifier of another root, signed by this one
   * (RFC 4210, 4.4: NewWithOld and OldWithNew). It is valid as long as both roots are.
   *
   * @throws FlotillaError `ca-expired` when the two are never valid together, `ca-certificate-invalid`
   */
  async crossCertify(other: CertificateFacts): Promise<IssuedCertificate> {
    const issuer = this.certificate;
    if (!other.isCa || other.subjectKeyId === undefined) {
      throw new FlotillaError('ca-certificate-invalid');
    }
    const notBeforeMs = Math.max(issuer.notBeforeMs, other.notBeforeMs);
    const notAfterMs = Math.min(issuer.notAfterMs, other.notAfterMs);
    if (notAfterMs <= notBeforeMs) throw new FlotillaError('ca-expired');
    const contents: Contents = {
      subject: checkedSpki(other.spki),
      subjectName: other.subject,
      subjectKeyId: other.subjectKeyId,
      profile: 'root',
      names: noNames,
      notBeforeMs,
      notAfterMs,
      serial: randomSerial(),
      issuerName: issuer.subject,
      issuerKeyId: this.keyId,
      key: this.signer.publicKey,
      points: this.#points,
    };
    return signLater(contents, this.signer);
  }
}

interface Contents {
  readonly subject: PublicKeyFacts;
  readonly profile: CertificateProfile;
  /** Name, DER. */
  readonly subjectName: Buffer;
  /** Undefined: the hash of the key. */
  readonly subjectKeyId?: Buffer;
  readonly names: SubjectNames;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly serial: string;
  /** Undefined for a root, which has its own name as issuer. */
  readonly issuerName: Buffer | undefined;
  readonly issuerKeyId: Buffer | undefined;
  /** The key of the issuer, private or public: it decides the algorithm. */
  readonly key: KeyObject;
  /** Extensions with the URLs of the CRL and the OCSP responder. */
  readonly points: readonly Buffer[];
}

function signNow(contents: Contents, key: KeyObject): IssuedCertificate {
  const unsigned = unsignedOf(contents);
  return issuedOf(contents, unsigned, signDer(unsigned.tbs, key).value);
}

async function signLater(contents: Contents, signer: Signer): Promise<IssuedCertificate> {
  const unsigned = unsignedOf(contents);
  return issuedOf(contents, unsigned, await signer.sign([unsigned.tbs]));
}

interface Unsigned {
  readonly tbs: Buffer;
  readonly algorithm: Buffer;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** RFC 5280, 4.1: TBSCertificate, version 3. */
function unsignedOf(contents: Contents): Unsigned {
  const { subject, subjectName, key } = contents;
  const notBeforeMs = Math.floor(contents.notBeforeMs / 1000) * 1000;
  const notAfterMs = Math.floor(contents.notAfterMs / 1000) * 1000;
  if (notAfterMs <= notBeforeMs) throw new RangeError('a certificate that ends before it begins');
  const algorithm = signatureAlgorithm(key);
  const tbs = sequence(
    explicit(0, integer(2)),
    unsignedInteger(Buffer.from(contents.serial, 'hex')),
    algorithm,
    contents.issuerName ?? subjectName,
    sequence(time(notBeforeMs), time(notAfterMs)),
    subjectName,
    subject.spki,
    explicit(3, sequence(...extensionsOf(contents))),
  );
  return { tbs, algorithm, notBeforeMs, notAfterMs };
}

function issuedOf(
  { subject, serial }: Contents,
  { tbs, algorithm, notBeforeMs, notAfterMs }: Unsigned,
  signature: Buffer,
): IssuedCertificate {
  const der = sequence(tbs, algorithm, bitString(signature));
  return {
    der,
    pem: pemOf('CERTIFICATE', der),
    serial,
    fingerprint: fingerprintOf(der),
    keyFingerprint: fingerprintOf(subject.spki),
    notBeforeMs,
    notAfterMs,
  };
}

function extensionsOf(contents: Contents): Buffer[] {
  const { subject, profile, names, issuerKeyId, points } = contents;
  const { isCa, pathLength, keyUsage, rsaKeyUsage, extendedKeyUsage, ocspNoCheck } =
    profiles[profile];
  const isRsa = subject.type.startsWith('rsa');
  const constraints = isCa
    ? sequence(derTrue, ...(pathLength === undefined ? [] : [integer(pathLength)]))
    : sequence();
  const extensions = [
    extension(oids.basicConstraints, constraints, 'critical'),
    extension(oids.keyUsage, namedBits((isRsa ? rsaKeyUsage : undefined) ?? keyUsage), 'critical'),
  ];
  if (extendedKeyUsage.length > 0) {
    extensions.push(extension(oids.extendedKeyUsage, sequence(...extendedKeyUsage.map(oid))));
  }
  extensions.push(
    extension(oids.subjectKeyIdentifier, octetString(contents.subjectKeyId ?? keyIdOf(subject))),
  );
  if (issuerKeyId !== undefined) {
    const keyId = element(contextTag(0, 'primitive'), issuerKeyId);
    extensions.push(extension(oids.authorityKeyIdentifier, sequence(keyId)));
  }
  if (!isEmptyNames(names)) extensions.push(extension(oids.subjectAltName, encodeNames(names)));
  if (ocspNoCheck) extensions.push(extension(oids.ocspNoCheck, derNull));
  extensions.push(...points);
  return extensions;
}

/** RFC 7093, 2, method 1: the leftmost 160 bits of SHA-256 over the key's BIT STRING. */
function keyIdOf({ keyBits }: PublicKeyFacts): Buffer {
  return hash('sha256', keyBits, 'buffer').subarray(0, 20);
}

/** 16 random bytes, positive, of fixed length: 126 bits of randomness. */
function randomSerial(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes.toString('hex');
}

function checkedCommonName(profile: CertificateProfile, commonName: string): string {
  const ok =
    profiles[profile].subject === 'identity'
      ? isDeviceId(commonName)
      : /^\P{C}{1,64}$/u.test(commonName) && commonName.isWellFormed();
  if (!ok) {
    throw new FlotillaError('certificate-subject-invalid', { detail: printable(commonName) });
  }
  assertFitsCommonName(commonName);
  return commonName;
}

function checkedSpki(spki: Buffer): PublicKeyFacts {
  try {
    return readSpkiBytes(spki);
  } catch (error) {
    if (!(error instanceof DerError)) throw error;
    throw new FlotillaError('csr-malformed', { detail: messageOf(error), cause: error });
  }
}

function assertCaKey(key: KeyObject): void {
  if (keyTypeOf(key) === undefined) throw new FlotillaError('ca-key-unsupported');
}

function assertPrivate(key: KeyObject): KeyObject {
  if (key.type !== 'private') throw new FlotillaError('ca-key-unsupported');
  return key;
}
