/**
 * What the TLS servers of both services offer: TLS 1.2 and 1.3 with authenticated encryption and elliptic
 * curves, and no renegotiation (RFC 9325).
 *
 * @module
 */
import { constants } from 'node:crypto';

/** Without renegotiation a client cannot make the server compute one handshake after the other. */
export const noRenegotiation = constants.SSL_OP_NO_RENEGOTIATION;

const ciphers = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  // For small devices (RFC 7925), with a tag of full length.
  'ECDHE-ECDSA-AES128-CCM',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-RSA-CHACHA20-POLY1305',
];

/** The post-quantum group exists since OpenSSL 3.5. */
const [major = 0, minor = 0] = process.versions.openssl.split('.').map(Number);
const hasMlKem = major > 3 || (major === 3 && minor >= 5);
const groups = [...(hasMlKem ? ['X25519MLKEM768'] : []), 'X25519', 'P-256', 'P-384', 'P-521'];

/** Options for `tls.createServer` and `https.createServer`, beside {@link noRenegotiation}. */
export const serverTlsOptions = {
  minVersion: 'TLSv1.2',
  ciphers: ciphers.join(':'),
  ecdhCurve: groups.join(':'),
} as const;
