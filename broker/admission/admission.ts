/**
 * Who may connect: decided from what TLS says and what the directory says, by pure functions. Every
 * refusal has its own code.
 *
 * Nothing that was decided at an earlier handshake counts: a resumed TLS session carries the
 * certificate in its ticket and skips its verification, so the certificate is looked up in the
 * directory on every connection.
 *
 * @module
 */
import type { DeviceId } from '../../core/device-id.ts';
import type { DirectoryEntry } from '../../core/protocol/feed.ts';
import type { ErrorCode } from '../../core/errors/catalogue.ts';
import { certificateOf, type DirectoryView } from '../feed/broker-directory.ts';
import type { Identity, Standing } from '../contracts/identity.ts';

/** The certificate that a client presented, as far as it matters. */
export interface PresentedCertificate {
  /** Lower-case hexadecimal. */
  readonly serial: string;
  /** `sha256:` and 64 hexadecimal digits. */
  readonly fingerprint: string;
  readonly commonName:
    { readonly ok: true; readonly id: DeviceId } | { readonly ok: false; readonly code: ErrorCode };
  /** The subject as it stands there, one relative name a line. */
  subject(): string;
  /** Whether its extended key usage names TLS clients. */
  readonly forClients: boolean;
  /** Whether one of the CA certificates in force signed it. Costs a signature check: asked last. */
  issuedHere(): boolean;
}

/** What TLS found out about a connection. */
export interface TlsFacts {
  readonly certificate: PresentedCertificate | undefined;
  /** OpenSSL's verdict over the chain, as Node names it; undefined when the chain is good. */
  readonly chainFault: string | undefined;
  readonly remoteAddress: string;
  readonly tlsVersion: string;
  readonly resumed: boolean;
}

/** Who is not let in, and why. */
export interface Refused {
  readonly admitted: false;
  readonly code: ErrorCode;
  /** What a stranger wrote may be in it. */
  readonly detail: string;
  /** Whose certificate it was; undefined when none of our CA's said so. */
  readonly id: DeviceId | undefined;
  /** Of a certificate of our CA; undefined when it was none, or none was shown. */
  readonly serial: string | undefined;
}

export type Admission = { readonly admitted: true; readonly identity: Identity } | Refused;

/** Decides over one TLS connection. */
export function admit(facts: TlsFacts, directory: DirectoryView, nowMs: number): Admission {
  const { certificate } = facts;
  if (certificate === undefined) {
    return refuse('certificate-missing', '');
  }
  const { commonName } = certificate;
  const claimed = commonName.ok ? commonName.id : undefined;
  const chain = judgeChain(certificate, facts.chainFault);
  if (chain !== undefined) {
    // What a certificate of a stranger claims is told, and believed by nobody.
    const believed = chain === 'certificate-untrusted' ? undefined : claimed;
    const says = believed === undefined && claimed !== undefined ? `, claims ${claimed}` : '';
    const serial = chain === 'certificate-untrusted' ? undefined : certificate.serial;
    return refuse(chain, `${facts.chainFault ?? 'key usage'}${says}`, believed, serial);
  }
  const { serial } = certificate;
  if (!commonName.ok) {
    return refuse(commonName.code, `subject ${certificate.subject()}`, undefined, serial);
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
    notAfterMs: verdict.notAfterMs,
    remoteAddress: facts.remoteAddress,
    tlsVersion: facts.tlsVersion,
    tlsResumed: facts.resumed,
  };
  return { admitted: true, identity };
}

/** What an identity's own certificate allows at a moment. */
export type Judgement =
  { readonly standing: Standing; readonly notAfterMs: number } | { readonly code: ErrorCode };

/**
 * Decides over one certificate of a directory entry. A certificate that was retired opens no new
 * connection; one that is `live` may finish what it began, and obeys everything else.
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

/** Decides again over a live connection, after the directory changed. */
export function review(identity: Identity, directory: DirectoryView, nowMs: number): Judgement {
  const entry = directory.get(identity.id);
  if (entry === undefined) return { code: 'device-removed' };
  return judge(entry, identity.fingerprint, directory.graceMs, nowMs, 'live');
}

/**
 * Node reports one fault of a chain, the last that OpenSSL met, and dates come last: "expired" says
 * nothing about who issued the certificate, or for what. So those two questions are answered here
 * whenever there is a fault at all, and only an end of validity is left to the directory, which
 * knows the dates and the grace period.
 */
function judgeChain(
  certificate: PresentedCertificate,
  fault: string | undefined,
): ErrorCode | undefined {
  if (fault !== undefined) {
    if (!toldApart.has(fault) || !certificate.issuedHere()) return 'certificate-untrusted';
    if (fault === 'CERT_NOT_YET_VALID') return 'certificate-not-yet-valid';
  }
  return certificate.forClients ? undefined : 'certificate-wrong-purpose';
}

/** Faults that a certificate of our own CA can have. */
const toldApart: ReadonlySet<string> = new Set([
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'INVALID_PURPOSE',
]);

function refuse(code: ErrorCode, detail: string, id?: DeviceId, serial?: string): Refused {
  return { admitted: false, code, detail, id, serial };
}
