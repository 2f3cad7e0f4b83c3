/**
 * Decides who may connect, from the facts of TLS and the directory. Pure functions; every refusal has
 * its own code.
 *
 * Decisions of an earlier handshake do not count. A resumed TLS session carries the certificate in its
 * ticket and skips the verification, so every connection looks its certificate up in the directory.
 *
 * @module
 */
import type { DeviceId } from '../../core/device-id.ts';
import type { DirectoryEntry } from '../../core/protocol/feed.ts';
import type { ErrorCode } from '../../core/errors/catalogue.ts';
import { certificateOf, type DirectoryView } from '../feed/broker-directory.ts';
import type { Identity } from '../contracts/identity.ts';
import type { Standing } from '../../core/policy/standing.ts';

/** The relevant parts of the certificate that a client presented. */
export interface PresentedCertificate {
  /** Lower-case hexadecimal. */
  readonly serial: string;
  /** `sha256:` and 64 hexadecimal digits. */
  readonly fingerprint: string;
  readonly commonName:
    { readonly ok: true; readonly id: DeviceId } | { readonly ok: false; readonly code: ErrorCode };
  /** The subject as text, one relative distinguished name per line. */
  subject(): string;
  /** Whether its extended key usage includes TLS client authentication. */
  readonly forClients: boolean;
  /**
   * The fingerprint of the CA certificate in force whose name and key identifier the certificate names as its issuer.
   * Undefined when there is none: a client can also send an issuer that was withdrawn, and the chain is still valid.
   */
  issuer(): string | undefined;
  /** Whether one of the CA certificates in force signed it. Verifies a signature, so it is called last. */
  issuedHere(): boolean;
}

/** The facts that TLS established about a connection. */
export interface TlsFacts {
  readonly certificate: PresentedCertificate | undefined;
  /** Why OpenSSL did not accept the chain, by its name in Node.js; undefined when it accepted it. */
  readonly chainError: string | undefined;
  readonly remoteAddress: string;
  readonly tlsVersion: string;
  readonly resumed: boolean;
}

/** A refused connection. */
export interface Refused {
  readonly admitted: false;
  readonly code: ErrorCode;
  /** May contain text from an unauthenticated client. */
  readonly detail: string;
  /** The identity in the certificate; undefined unless one of our CAs issued it. */
  readonly id: DeviceId | undefined;
  /** The serial number of the certificate; undefined unless one of our CAs issued it. */
  readonly serial: string | undefined;
}

export type Admission = { readonly admitted: true; readonly identity: Identity } | Refused;

/** Decides about one TLS connection. */
export function admit(facts: TlsFacts, directory: DirectoryView, nowMs: number): Admission {
  const { certificate } = facts;
  if (certificate === undefined) {
    return refuse('certificate-missing', '');
  }
  const { commonName } = certificate;
  const claimed = commonName.ok ? commonName.id : undefined;
  const chain = judgeChain(certificate, facts.chainError);
  if (chain !== undefined) {
    // The name in an untrusted certificate is reported, but never used as an identity.
    const trusted = chain === 'certificate-untrusted' ? undefined : claimed;
    const claim = trusted === undefined && claimed !== undefined ? `, claims ${claimed}` : '';
    const serial = chain === 'certificate-untrusted' ? undefined : certificate.serial;
    return refuse(chain, `${facts.chainError ?? 'key usage'}${claim}`, trusted, serial);
  }
  const { serial } = certificate;
  if (!commonName.ok) {
    return refuse(commonName.code, `subject ${certificate.subject()}`, undefined, serial);
  }
  const issuer = certificate.issuer();
  if (issuer === undefined) {
    return refuse('certificate-issuer-withdrawn', `serial ${serial}`, commonName.id, serial);
  }
  if (!directory.ready) return refuse('directory-missing', '', commonName.id, serial);
  const entry = directory.get(commonName.id);
  if (entry === undefined) return refuse('device-unknown', '', commonName.id, serial);
  const verdict = judge(entry, certificate.fingerprint, directory.graceMs, nowMs);
  if ('code' in verdict) {
    return refuse(verdict.code, `serial ${serial}`, commonName.id, serial);
  }
  const identity: Identity = {
    id: commonName.id,
    entry,
    standing: verdict.standing,
    serial,
    fingerprint: certificate.fingerprint,
    issuer,
    notAfterMs: verdict.notAfterMs,
    remoteAddress: facts.remoteAddress,
    tlsVersion: facts.tlsVersion,
    tlsResumed: facts.resumed,
  };
  return { admitted: true, identity };
}

/** What an identity's certificate allows at a given time. */
export type Judgement =
  { readonly standing: Standing; readonly notAfterMs: number } | { readonly code: ErrorCode };

/**
 * Decides about one certificate of a directory entry. A retired certificate cannot open a new
 * connection, but does not end a live one.
 */
export function judge(
  entry: DirectoryEntry,
  fingerprint: string,
  graceMs: number,
  nowMs: number,
  connection: 'new' | 'live' = 'new',
): Judgement {
  const certificate = certificateOf(entry, fingerprint);
  if (certificate === undefined) return { code: 'certificate-unknown' };
  if (certificate.status === 'revoked') return { code: 'certificate-revoked' };
  if (entry.status === 'revoked') return { code: 'device-revoked' };
  if (entry.status === 'suspended') return { code: 'device-suspended' };
  if (certificate.status === 'retired' && connection === 'new')
    return { code: 'certificate-retired' };
  const { notBeforeMs, notAfterMs } = certificate;
  if (nowMs < notBeforeMs) return { code: 'certificate-not-yet-valid' };
  if (nowMs >= notAfterMs + graceMs) return { code: 'certificate-expired' };
  if (entry.status === 'quarantined') return { standing: 'quarantined', notAfterMs };
  return { standing: nowMs >= notAfterMs ? 'renewal-only' : 'full', notAfterMs };
}

/** Decides again about a live connection, after the directory changed. */
export function review(
  identity: Pick<Identity, 'id' | 'fingerprint'>,
  directory: DirectoryView,
  nowMs: number,
): Judgement {
  const entry = directory.get(identity.id);
  if (entry === undefined) return { code: 'device-removed' };
  return judge(entry, identity.fingerprint, directory.graceMs, nowMs, 'live');
}

/**
 * Node reports only one error of a chain, the last one that OpenSSL found, and OpenSSL checks dates
 * last: "expired" does not imply that the issuer and the purpose are right. So both are checked here
 * whenever there is any error. Expiry is left to the directory, which knows the dates and the grace
 * period.
 */
function judgeChain(
  certificate: PresentedCertificate,
  error: string | undefined,
): ErrorCode | undefined {
  if (error !== undefined) {
    if (!ownCertificateErrors.has(error) || !certificate.issuedHere())
      return 'certificate-untrusted';
    if (error === 'CERT_NOT_YET_VALID') return 'certificate-not-yet-valid';
  }
  return certificate.forClients ? undefined : 'certificate-wrong-purpose';
}

/** Errors that a certificate of our own CA can have. */
const ownCertificateErrors: ReadonlySet<string> = new Set([
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'INVALID_PURPOSE',
]);

function refuse(code: ErrorCode, detail: string, id?: DeviceId, serial?: string): Refused {
  return { admitted: false, code, detail, id, serial };
}
