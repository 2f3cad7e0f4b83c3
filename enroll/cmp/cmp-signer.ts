/**
 * The certificate that signs CMP responses: of the issuer of services, so that the key of the issuer of devices cannot
 * make one, and with a usage that is good for nothing in TLS (RFC 9483, 1.9).
 *
 * @module
 */
import type { KeyObject } from 'node:crypto';
import { readCertificate, splitPem, type CertificateFacts } from '../../certs/certificate.ts';
import { signPieces, signatureAlgorithm } from '../../certs/algorithms.ts';
import { generateKeySync, spkiOf } from '../../certs/key.ts';
import type { Clock } from '../../core/clock.ts';
import { dayMs } from '../../core/config/duration.ts';
import type { CertificateAuthority } from '../ca/certificate-authority.ts';

/** The validity of the certificate; it is replaced at half of it. */
const validityMs = 7 * dayMs;

interface SigningIdentity {
  readonly certificate: CertificateFacts;
  readonly key: KeyObject;
  /** Of the issuer. */
  readonly issuer: string;
}

/** A signature over a response, and the certificates with which a client verifies it. */
export interface CmpSigning {
  readonly certificate: CertificateFacts;
  /** DER: the certificate, then the CAs above it. */
  readonly chain: readonly Buffer[];
  /** AlgorithmIdentifier, DER. */
  readonly algorithm: Buffer;
  readonly sign: (data: Buffer) => Promise<Buffer>;
}

export class CmpSigner {
  readonly #ca: CertificateAuthority;
  readonly #clock: Clock;
  #made: Promise<SigningIdentity> | undefined;

  constructor(ca: CertificateAuthority, clock: Clock) {
    this.#ca = ca;
    this.#clock = clock;
    // A rollover or a withdrawal may have replaced the issuer.
    ca.onChange(() => (this.#made = undefined));
  }

  /** @throws FlotillaError `ca-expired`, `ca-token-failed` */
  async signing(): Promise<CmpSigning> {
    const { certificate, key, issuer } = await this.#identity();
    return {
      certificate,
      chain: [certificate.der, ...certificateDersIn(this.#ca.chainAbove(issuer))],
      algorithm: signatureAlgorithm(key),
      sign: async (data) => (await signPieces([data], key)).value,
    };
  }

  async #identity(): Promise<SigningIdentity> {
    const known = await this.#made;
    const leftMs = (known?.certificate.notAfterMs ?? 0) - this.#clock.now();
    if (known !== undefined && leftMs > validityMs / 2) return known;
    const making = this.#make();
    this.#made = making;
    making.catch(() => (this.#made = undefined));
    return making;
  }

  /** The key is in memory only. */
  async #make(): Promise<SigningIdentity> {
    const authority = this.#ca.service;
    const key = generateKeySync('p256');
    const { der } = await authority.sign({
      spki: spkiOf(key),
      profile: 'cmp',
      commonName: 'Flotilla CMP',
      validityMs,
    });
    return { certificate: readCertificate(der), key, issuer: authority.certificate.fingerprint };
  }
}

/** The certificates (DER) of a PEM text. */
export function certificateDersIn(pem: string): Buffer[] {
  return splitPem(pem).map((one) => readCertificate(one).der);
}
