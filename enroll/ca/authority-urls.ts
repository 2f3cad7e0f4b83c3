/**
 * The addresses that certificates carry for their revocation lists and OCSP.
 *
 * @module
 */
import type { AuthorityUrls } from '../../certs/authority.ts';
import type { Config } from '../../core/config/config.ts';

/**
 * From the settings: nothing is guessed, because these addresses stay in certificates for years. They
 * are plain http (RFC 5280, 8): someone who checks a certificate must not need this PKI to fetch them.
 * Each issuer has its own CRL, named by the first digits of its fingerprint.
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
