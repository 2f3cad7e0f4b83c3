/**
 * What the TLS servers of both services offer: TLS 1.2 and 1.3 with authenticated encryption and elliptic
 * curves, and no renegotiation (RFC 9325).
 *
 * @module
 */
import { constants, createPrivateKey } from 'node:crypto';

/** A private key and its certificate chain, PEM. */
export interface ServerKeyPair {
  readonly key: string;
  /** The leaf certificate, then its issuers. */
  readonly chain: string;
}

/** Without renegotiation a client cannot make the server compute one handshake after the other. */
export const noRenegotiation = constants.SSL_OP_NO_RENEGOTIATION;

const ecdsaCiphers = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  // For small devices (RFC 7925), with a tag of full length.
  'ECDHE-ECDSA-AES128-CCM',
];

/** Only for a server with an RSA certificate. With TLS 1.2, the suite determines the type of the certificate. */
const rsaCiphers = [
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-RSA-CHACHA20-POLY1305',
];

/** The post-quantum group exists since OpenSSL 3.5. */
const [major = 0, minor = 0] = process.versions.openssl.split('.').map(Number);
const hasMlKem = major > 3 || (major === 3 && minor >= 5);
const groups = [...(hasMlKem ? ['X25519MLKEM768'] : []), 'X25519', 'P-256', 'P-384', 'P-521'];

/**
 * Options for `tls.createServer` and `https.createServer`, beside {@link noRenegotiation}.
 *
 * The order of the server counts, in suites and signature algorithms, and ECDSA is first in both: only a client
 * without ECDSA gets an RSA certificate.
 *
 * @param pairs at most one for each type of key
 */
export function serverTlsOptions(...pairs: readonly ServerKeyPair[]): {
  key: string[];
  cert: string[];
  minVersion: 'TLSv1.2';
  ciphers: string;
  ecdhCurve: string;
} {
  const hasRsa = pairs.some(({ key }) => createPrivateKey(key).asymmetricKeyType === 'rsa');
  return {
    key: pairs.map(({ key }) => key),
    cert: pairs.map(({ chain }) => chain),
    minVersion: 'TLSv1.2',
    ciphers: [...ecdsaCiphers, ...(hasRsa ? rsaCiphers : [])].join(':'),
    ecdhCurve: groups.join(':'),
  };
}
