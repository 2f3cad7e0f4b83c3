/**
 * Certificates that our own CA would never issue, signed with its key.
 *
 * @module
 */
import { createHash, webcrypto, X509Certificate } from 'node:crypto';
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import { generateKeySync, privateKeyPem, spkiOf } from '../../certs/key.ts';
import type { TestCa, TestIdentity } from './test-ca.ts';

const clientAuth = '1.3.6.1.5.5.7.3.2';
const ecdsa = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const hourMs = 3_600_000;

/** A leaf certificate with any subject, issued by a test CA. */
export async function hostileCertificate(
  ca: Pick<TestCa, 'issuer'>,
  subject: x509.JsonName,
  usages: string[] = [clientAuth],
): Promise<TestIdentity> {
  const key = generateKeySync('p256');
  const { signer, certificate } = ca.issuer;
  const privateKey = signer.privateKey!;
  const spki = await webcrypto.subtle.importKey('spki', new Uint8Array(spkiOf(key)), ecdsa, true, [
    'verify',
  ]);
  const notBefore = new Date(Date.now() - hourMs);
  const notAfter = new Date(Date.now() + hourMs);
  const generated = await x509.X509CertificateGenerator.create(
    {
      serialNumber: '7a01020304050607',
      subject: new x509.Name(subject).toJSON(),
      issuer: new x509.X509Certificate(certificate.der).subjectName.toJSON(),
      notBefore,
      notAfter,
      publicKey: spki,
      signingKey: privateKey.toCryptoKey(ecdsa, true, ['sign']),
      signingAlgorithm: ecdsa,
      extensions: [new x509.ExtendedKeyUsageExtension(usages)],
    },
    webcrypto,
  );
  const der = Buffer.from(generated.rawData);
  const leaf = `${generated.toString('pem')}\n`;
  return {
    key: privateKeyPem(key),
    cert: leaf + certificate.pem,
    leaf,
    serial: new X509Certificate(der).serialNumber.toLowerCase(),
    fingerprint: `sha256:${createHash('sha256').update(der).digest('hex')}`,
    notBeforeMs: Math.floor(notBefore.getTime() / 1000) * 1000,
    notAfterMs: Math.floor(notAfter.getTime() / 1000) * 1000,
  };
}
