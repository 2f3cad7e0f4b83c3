/**
 * The URLs of revocation lists and OCSP in certificates.
 *
 * @module
 */
import type { AuthorityUrls } from '../../certs/authority-points.ts';
import type { Config } from '../../core/config/config.ts';

/**
 * Derived only from the configuration, because these URLs stay in certificates for years. They use plain HTTP
 * (RFC 5280, 8), so that a client which checks a certificate does not need this PKI to fetch them. Each
 * issuer has its own CRL, named by the first digits of its fingerprint.
 */
export function authorityUrls(config: Config): (fingerprint: string) => AuthorityUrls {
  const { crlUrl, ocspUrl } = config.enroll;
  return (fingerprint) => ({
    ...(crlUrl === undefined
      ? {}
      : {
          crl: `${crlUrl.replace(/\/$/, '')}/${fingerprint.slice('sha256:'.length).slice(0, 16)}`,
        }),
    ...(ocspUrl === undefined ? {} : { ocsp: ocspUrl }),
  });
}
