/**
 * Responds to OCSP requests (RFC 6960); each issuer has a delegated responder that signs. A request about an issuer is
 * answered by the responder of its root, if there is one.
 *
 * @module
 */
import type { CertificateFacts } from '../../certs/certificate.ts';
import {
  answerOcsp,
  asksAbout,
  createResponder,
  ocspFailure,
  parseOcspRequest,
  type CertificateStatus,
  type OcspRequest,
  type OcspResponder,
} from '../../certs/ocsp.ts';
import type { Clock } from '../../core/clock.ts';
import type { CertificateAuthority } from '../ca/certificate-authority.ts';
import { addressPrefix } from '../../core/ip-address.ts';
import { RateLimiter } from '../../core/rate-limiter.ts';
import { revocationOf } from '../registry/certificate-status.ts';
import type { Registry } from '../registry/registry.ts';
import { issuerStatus } from './issuer-status.ts';
import type { RootResponders } from './root-responders.ts';
import { dayMs } from '../../core/config/duration.ts';

/** The validity of a responder's certificate; it is renewed at half of it. */
const responderValidityMs = 7 * dayMs;
/** The part of the signatures of a second that one source can have. */
const sourceShare = 0.25;

export interface OcspServiceDeps {
  readonly registry: Registry;
  readonly ca: CertificateAuthority;
  /** The responders for requests about issuers. */
  readonly roots: Pick<RootResponders, 'of'>;
  readonly clock: Clock;
  readonly validityMs: number;
  readonly signaturesPerSecond: number;
}

export class OcspService {
  readonly #deps: OcspServiceDeps;
  readonly #signatures: RateLimiter;
  readonly #ofSource: RateLimiter;
  readonly #responders = new Map<string, OcspResponder>();

  constructor(deps: OcspServiceDeps) {
    this.#deps = deps;
    const { clock, signaturesPerSecond } = deps;
    this.#signatures = new RateLimiter(clock, signaturesPerSecond, 1000);
    this.#ofSource = new RateLimiter(clock, Math.max(1, signaturesPerSecond * sourceShare), 1000);
  }

  /** The OCSPResponse, DER, for any request, also a malformed one. */
  async answer(request: Buffer, remoteAddress: string): Promise<Buffer> {
    const source = addressPrefix(remoteAddress);
    if (this.#ofSource.take(source) > 0 || this.#signatures.take('') > 0) {
      return ocspFailure('tryLater');
    }
    const statuses = new Map<string, CertificateStatus>();
    let parsed: OcspRequest;
    try {
      parsed = parseOcspRequest(request);
    } catch {
      return ocspFailure('malformedRequest');
    }
    const roots = this.#deps.ca.inventory.roots.filter((root) => asksAbout(parsed, root));
    for (const { serial } of parsed.certificates) {
      for (const root of roots) {
        const list = this.#deps.ca.rootCrl(root.fingerprint);
        const status = issuerStatus(this.#deps.ca.inventory, root, list, serial);
        statuses.set(`${root.fingerprint} ${serial}`, status);
      }
      for (const { certificate } of this.#deps.ca.ownIssuers) {
        const { fingerprint } = certificate;
        statuses.set(`${fingerprint} ${serial}`, await this.#statusOf(serial, fingerprint));
      }
    }
    const rootResponders = await Promise.all(roots.map((root) => this.#deps.roots.of(root)));
    const responders = [
      ...(await this.#living()),
      ...rootResponders.filter((responder) => responder !== undefined),
    ];
    await this.#deps.registry.settled();
    return answerOcsp({
      request,
      responders,
      statusOf: (serial, issuer) =>
        statuses.get(`${issuer.fingerprint} ${serial}`) ?? { status: 'unknown' },
      nowMs: this.#deps.clock.now(),
      validityMs: this.#deps.validityMs,
    });
  }

  async #statusOf(serial: string, issuer: string): Promise<CertificateStatus> {
    const { registry } = this.#deps;
    const revoked = await registry.get('revocations', serial);
    if (revoked !== undefined && revoked.issuer === issuer) {
      return { status: 'revoked', atMs: revoked.atMs, reason: revoked.reason };
    }
    const holder = await registry.holderOfSerial(serial);
    const certificate = holder?.certificates.find((one) => one.serial === serial);
    if (holder === undefined || certificate === undefined || certificate.issuer !== issuer) {
      return { status: 'unknown' };
    }
    const revocation = revocationOf(holder, certificate, this.#deps.clock.now());
    return revocation === undefined ? { status: 'good' } : { status: 'revoked', ...revocation };
  }

  /** The responders of the issuers that have not ended: one that has signs nothing, and its certificates have ended. */
  #living(): Promise<OcspResponder[]> {
    const now = this.#deps.clock.now();
    const issuers = this.#deps.ca.ownIssuers.map(({ certificate }) => certificate);
    return Promise.all(
      issuers
        .filter(({ notBeforeMs, notAfterMs }) => notBeforeMs <= now && now < notAfterMs)
        .map((issuer) => this.#responder(issuer)),
    );
  }

  async #responder({ fingerprint }: CertificateFacts): Promise<OcspResponder> {
    const known = this.#responders.get(fingerprint);
    const leftMs = (known?.certificate.notAfterMs ?? 0) - this.#deps.clock.now();
    if (known !== undefined && leftMs > responderValidityMs / 2) return known;
    const authority = this.#deps.ca.issuer(fingerprint);
    if (authority === undefined) throw new Error('an issuer without an authority');
    const made = await createResponder(authority, responderValidityMs);
    this.#responders.set(fingerprint, made);
    return made;
  }
}
