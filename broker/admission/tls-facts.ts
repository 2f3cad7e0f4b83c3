/**
 * Reads from TLS what admission needs to know about a connection, after its handshake.
 *
 * @module
 */
import type { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { certificateFingerprint, chainError, commonNameOf } from '../../certs/certificate.ts';
import { subjectText } from '../../core/subject-text.ts';
import type { PresentedCertificate, TlsFacts } from './admission.ts';

/** Extended key usage "TLS client" (RFC 5280, 4.2.1.12). */
const clientAuth = '1.3.6.1.5.5.7.3.2';

/**
 * Reads the facts. Takes a few microseconds: no legacy certificate object is created.
 *
 * @param authorities the CA certificates in force
 */
export function tlsFactsOf(socket: TLSSocket, authorities: readonly X509Certificate[]): TlsFacts {
  const certificate = socket.getPeerX509Certificate();
  return {
    certificate: certificate === undefined ? undefined : presented(certificate, authorities),
    chainError: chainError(socket),
    remoteAddress: socket.remoteAddress ?? '',
    tlsVersion: socket.getProtocol() ?? '',
    resumed: socket.isSessionReused(),
  };
}

function presented(
  certificate: X509Certificate,
  authorities: readonly X509Certificate[],
): PresentedCertificate {
  return {
    serial: certificate.serialNumber.toLowerCase(),
    fingerprint: certificateFingerprint(certificate),
    commonName: commonNameOf(certificate),
    subject: () => subjectText(certificate),
    // The published type says that it always exists; without the extension it is undefined.
    forClients:
      (certificate.keyUsage as readonly string[] | undefined)?.includes(clientAuth) ?? false,
    issuer: () => authorities.find((one) => certificate.checkIssued(one))?.fingerprint256,
    issuedHere: () =>
      authorities.some(
        (authority) =>
          certificate.checkIssued(authority) && certificate.verify(authority.publicKey),
      ),
  };
}
