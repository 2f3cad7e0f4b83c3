/**
 * Signing for a CA, wherever its key is: in memory, after it was decrypted from a file, or on a token
 * (pkcs11-signer.ts). It is asynchronous, because a token or another machine takes its time.
 *
 * @module
 */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { FlotillaError } from '../core/errors/flotilla-error.ts';
import { signPieces } from './algorithms.ts';

export interface Signer {
  /** The public key: it decides the algorithm, see `signatureAlgorithm`. */
  readonly publicKey: KeyObject;
  /** The private key if it is in the memory of this process. */
  readonly privateKey: KeyObject | undefined;
  /**
   * Signs chunks as one message. Resolves with the value as X.509 contains it: for ECDSA a DER ECDSA-Sig-Value.
   *
   * @throws FlotillaError `ca-token-failed`
   */
  sign(pieces: readonly Uint8Array[]): Promise<Buffer>;
}

/** The key is at another CA: this process cannot sign with it. */
export function absentSigner(publicKey: KeyObject): Signer {
  return {
    publicKey,
    privateKey: undefined,
    sign: () =>
      Promise.reject(
        new FlotillaError('external-ca-refused', { detail: 'its key is not in this installation' }),
      ),
  };
}

/** A signer with a key in memory. */
export function keySigner(key: KeyObject): Signer {
  return {
    publicKey: createPublicKey(key),
    privateKey: key,
    sign: async (pieces) => (await signPieces(pieces, key)).value,
  };
}
