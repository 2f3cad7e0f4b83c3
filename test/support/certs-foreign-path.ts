/**
 * Certificates of a manufacturer's PKI, with the faults that a test needs.
 *
 * @module
 */
import { webcrypto, type KeyObject } from 'node:crypto';
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import { generateKeySync, spkiOf, type KeyType } from '../../certs/key.ts';

export interface ForeignCa {
  readonly name: string;
  readonly key: KeyObject;
}

export interface ForeignOptions {
  readonly name: string;
  /** The issuer (default: self-signed). */
  readonly by?: ForeignCa;
  readonly key?: KeyObject;
  readonly keyType?: KeyType;
  /** Undefined: a leaf. */
  readonly ca?: { readonly pathLength?: number } | undefined;
  /** Null: without this extension. */
  readonly keyUsage?: x509.KeyUsageFlags | null;
  readonly extendedKeyUsage?: readonly string[] | undefined;
  readonly more?: readonly x509.Extension[];
  readonly notBeforeMs?: number;
  readonly notAfterMs?: number;
  readonly hash?: 'SHA-1' | 'SHA-256';
}

export interface Foreign extends ForeignCa {
  readonly pem: string;
  readonly serial: string;
}

const hourMs = 3_600_000;
let made = 0;

/** Creates a certificate, by default with a P-256 key. Subject and issuer are common names. */
export async function foreignCertificate(options: ForeignOptions): Promise<Foreign> {
  const { name, ca, keyType = 'p256', hash = 'SHA-256' } = options;
  const key = options.key ?? generateKeySync(keyType);
  const by = options.by ?? { name, key };
  const { digitalSignature, keyCertSign } = x509.KeyUsageFlags;
  const usage = ca === undefined ? digitalSignature : keyCertSign;
  const { keyUsage = usage, extendedKeyUsage, more = [] } = options;
  const spki = await webcrypto.subtle.importKey(
    'spki',
    new Uint8Array(spkiOf(key)),
    algorithmOf(key),
    true,
    ['verify'],
  );
  const serial = (0x40_0000_0000 + ++made).toString(16);
  const certificate = await x509.X509CertificateGenerator.create(
    {
      serialNumber: serial,
      subject: `CN=${name}`,
      issuer: `CN=${by.name}`,
      notBefore: new Date(options.notBeforeMs ?? Date.now() - hourMs),
      notAfter: new Date(options.notAfterMs ?? Date.now() + hourMs),
      publicKey: spki,
      signingKey: by.key.toCryptoKey(algorithmOf(by.key), true, ['sign']),
      signingAlgorithm: { ...algorithmOf(by.key), hash },
      extensions: [
        new x509.BasicConstraintsExtension(ca !== undefined, ca?.pathLength, true),
        ...(keyUsage === null ? [] : [new x509.KeyUsagesExtension(keyUsage, true)]),
        ...(extendedKeyUsage === undefined
          ? []
          : [new x509.ExtendedKeyUsageExtension([...extendedKeyUsage])]),
        await x509.SubjectKeyIdentifierExtension.create(spki, false, webcrypto),
        ...more,
      ],
    },
    webcrypto,
  );
  return { name, key, pem: `${certificate.toString('pem')}\n`, serial };
}

function algorithmOf(key: KeyObject): { name: string; namedCurve?: string; hash: string } {
  if (key.asymmetricKeyType === 'rsa') return { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };
  const namedCurve = key.asymmetricKeyDetails?.namedCurve === 'secp384r1' ? 'P-384' : 'P-256';
  return { name: 'ECDSA', namedCurve, hash: 'SHA-256' };
}
