/**
 * Key pairs: the types that Flotilla generates and accepts, and their encodings.
 *
 * @module
 */
import {
  createPublicKey,
  generateKeyPair,
  generateKeyPairSync,
  hash,
  type KeyObject,
} from 'node:crypto';

/** The key types, in the order of preference. */
export const keyTypes = ['p256', 'p384', 'ed25519', 'rsa2048', 'rsa3072', 'rsa4096'] as const;
export type KeyType = (typeof keyTypes)[number];

/** Whether a text is the name of a key type. */
export function isKeyType(text: string): text is KeyType {
  return (keyTypes as readonly string[]).includes(text);
}

/** Generates a private key outside the event loop (RSA takes 50 ms to seconds). */
export function generateKey(type: KeyType): Promise<KeyObject> {
  return new Promise((resolve, reject) => {
    const done = (error: Error | null, _publicKey: KeyObject, privateKey: KeyObject): void => {
      if (error === null) resolve(privateKey);
      else reject(error);
    };
    const recipe = recipes[type];
    if (recipe.kind === 'ec') generateKeyPair('ec', { namedCurve: recipe.curve }, done);
    else if (recipe.kind === 'rsa') generateKeyPair('rsa', { modulusLength: recipe.bits }, done);
    else generateKeyPair('ed25519', {}, done);
  });
}

/** Generates a private key on the event loop: 30 µs for P-256, too slow for RSA in a service. */
export function generateKeySync(type: KeyType): KeyObject {
  const recipe = recipes[type];
  if (recipe.kind === 'ec')
    return generateKeyPairSync('ec', { namedCurve: recipe.curve }).privateKey;
  if (recipe.kind === 'rsa')
    return generateKeyPairSync('rsa', { modulusLength: recipe.bits }).privateKey;
  return generateKeyPairSync('ed25519').privateKey;
}

/** PKCS#8 PEM, not encrypted. Write it only to files with mode 0600. */
export function privateKeyPem(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' });
}

/** The SubjectPublicKeyInfo (DER) of a private or a public key. */
export function spkiOf(key: KeyObject): Buffer {
  const publicKey = key.type === 'private' ? createPublicKey(key) : key;
  return publicKey.export({ type: 'spki', format: 'der' });
}

/** `sha256:` and 64 lower-case hexadecimal digits over a DER (a certificate, or an SPKI). */
export function fingerprintOf(der: Uint8Array): string {
  return `sha256:${hash('sha256', der, 'hex')}`;
}

/** The type of a key. @returns undefined if Flotilla does not support it */
export function keyTypeOf(key: KeyObject): KeyType | undefined {
  const { modulusLength, publicExponent, namedCurve } = key.asymmetricKeyDetails ?? {};
  switch (key.asymmetricKeyType) {
    case 'ec':
      return namedCurve === 'prime256v1' ? 'p256' : namedCurve === 'secp384r1' ? 'p384' : undefined;
    case 'ed25519':
      return 'ed25519';
    case 'rsa': {
      const name = `rsa${modulusLength ?? 0}`;
      return publicExponent === 65_537n && isKeyType(name) ? name : undefined;
    }
    default:
      return undefined;
  }
}

type Recipe =
  | { readonly kind: 'ec'; readonly curve: 'P-256' | 'P-384' }
  | { readonly kind: 'rsa'; readonly bits: number }
  | { readonly kind: 'ed25519' };

const recipes: Readonly<Record<KeyType, Recipe>> = {
  p256: { kind: 'ec', curve: 'P-256' },
  p384: { kind: 'ec', curve: 'P-384' },
  ed25519: { kind: 'ed25519' },
  rsa2048: { kind: 'rsa', bits: 2048 },
  rsa3072: { kind: 'rsa', bits: 3072 },
  rsa4096: { kind: 'rsa', bits: 4096 },
};
