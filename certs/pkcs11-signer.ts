/**
 * Signing with a key on a token (PKCS#11): a smart card, an HSM, or SoftHSM. The library is loaded only when a key file
 * contains a PKCS#11 URI. The key never leaves the token; the hash is computed here.
 *
 * @module
 */
import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type pkcs11 from 'pkcs11js';
import { FlotillaError, messageOf } from '../core/errors/flotilla-error.ts';
import { assertSecret } from '../core/secret-file.ts';
import { signatureDigest } from './algorithms.ts';
import { decodeDer, tags } from './der.ts';
import { derNull, octetString, oid, sequence, unsignedInteger } from './der-encode.ts';
import { expectTag } from './der-fields.ts';
import { keyTypeOf } from './key.ts';
import { oids } from './oids.ts';
import { parsePkcs11Uri, type Pkcs11Uri } from './pkcs11-uri.ts';
import type { Signer } from './signer.ts';

type Library = typeof pkcs11;
type Module = InstanceType<Library['PKCS11']>;

/** How many keys may be open at a time. */
export const tokenKeysMax = 16;
const signatureMaxBytes = 512;

/** By URI: the CA is opened again after each change, the session stays. */
const signers = new Map<string, Promise<Signer>>();
/** By path: a library can be initialized once in a process. */
const modules = new Map<string, Module>();

/**
 * Opens a key on a token: P-256, P-384 or RSA.
 *
 * @param text the PKCS#11 URI
 * @throws FlotillaError `ca-key-unreadable` (the URI), `ca-token-failed`, `file-too-open` (the file with the PIN)
 */
export function pkcs11Signer(text: string): Promise<Signer> {
  const known = signers.get(text);
  if (known !== undefined) return known;
  if (signers.size >= tokenKeysMax) {
    throw new FlotillaError('ca-token-failed', { detail: `at most ${tokenKeysMax} keys` });
  }
  const opening = openSigner(parsePkcs11Uri(text));
  signers.set(text, opening);
  opening.catch(() => signers.delete(text));
  return opening;
}

async function openSigner(uri: Pkcs11Uri): Promise<Signer> {
  const pin = 'value' in uri.pin ? uri.pin.value : await pinOf(uri.pin.file);
  const library = await loadLibrary();
  try {
    return openKey(library, uri, pin);
  } catch (error) {
    throw failure(error);
  }
}

/** Everything until the key is found. The calls of the library are synchronous and short. */
function openKey(library: Library, uri: Pkcs11Uri, pin: string): Signer {
  const module = openModule(library, uri.modulePath);
  const slot = module
    .C_GetSlotList(true)
    .find((one) => module.C_GetTokenInfo(one).label.trimEnd() === uri.token);
  if (slot === undefined) throw new Error(`there is no token ${uri.token}`);
  const session = module.C_OpenSession(slot, library.CKF_SERIAL_SESSION);
  ignoring(library.CKR_USER_ALREADY_LOGGED_IN, () =>
    module.C_Login(session, library.CKU_USER, pin),
  );
  const find = (kind: number): Buffer => {
    module.C_FindObjectsInit(session, [
      { type: library.CKA_CLASS, value: kind },
      ...(uri.object === undefined ? [] : [{ type: library.CKA_LABEL, value: uri.object }]),
      ...(uri.id === undefined ? [] : [{ type: library.CKA_ID, value: uri.id }]),
    ]);
    const [first, second] = module.C_FindObjects(session, 2);
    module.C_FindObjectsFinal(session);
    if (first === undefined) throw new Error('the token has no such key');
    if (second !== undefined) throw new Error('the URI matches more than one key');
    return first;
  };
  const privateKey = find(library.CKO_PRIVATE_KEY);
  const publicKey = readPublicKey(library, module, session, find(library.CKO_PUBLIC_KEY));
  const type = keyTypeOf(publicKey);
  if (type === undefined || type === 'ed25519') throw new FlotillaError('ca-key-unsupported');
  const isRsa = type.startsWith('rsa');
  const mechanism = isRsa ? library.CKM_RSA_PKCS : library.CKM_ECDSA;
  const digest = signatureDigest(publicKey) ?? 'sha256';
  let last: Promise<unknown> = Promise.resolve();
  return {
    publicKey,
    privateKey: undefined,
    sign(pieces) {
      const hashed = createHash(digest);
      for (const piece of pieces) hashed.update(piece);
      const hash = hashed.digest();
      // One signature at a time: a session has one operation.
      const signing = last.then(async () => {
        module.C_SignInit(session, { mechanism }, privateKey);
        const input = isRsa ? digestInfo(hash) : hash;
        const raw = await module.C_SignAsync(session, input, Buffer.alloc(signatureMaxBytes));
        return isRsa ? raw : ecdsaValue(raw);
      });
      last = signing.catch(() => undefined);
      return signing.catch((error: unknown) => {
        throw failure(error);
      });
    },
  };
}

function openModule(library: Library, path: string): Module {
  const known = modules.get(path);
  if (known !== undefined) return known;
  const module = new library.PKCS11();
  module.load(path);
  ignoring(library.CKR_CRYPTOKI_ALREADY_INITIALIZED, () => module.C_Initialize());
  modules.set(path, module);
  return module;
}

function ignoring(code: number, call: () => void): void {
  try {
    call();
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === code)) throw error;
  }
}

function readPublicKey(library: Library, module: Module, session: Buffer, key: Buffer): KeyObject {
  const read = (type: number): Buffer => {
    const [found] = module.C_GetAttributeValue(session, key, [{ type }]);
    if (!Buffer.isBuffer(found?.value)) throw new Error('the token does not show the public key');
    return found.value;
  };
  const isRsa = read(library.CKA_KEY_TYPE).readUInt8(0) === library.CKK_RSA;
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url');
  if (isRsa) {
    const n = text(read(library.CKA_MODULUS));
    const e = text(read(library.CKA_PUBLIC_EXPONENT));
    return createPublicKey({ key: { kty: 'RSA', n, e }, format: 'jwk' });
  }
  const wrapped = decodeDer(read(library.CKA_EC_POINT), { maxBytes: 1024 });
  const point = expectTag(wrapped, tags.octetString, 'point').content;
  const length = (point.length - 1) / 2;
  const crv = length === 32 ? 'P-256' : 'P-384';
  const x = text(point.subarray(1, 1 + length));
  const y = text(point.subarray(1 + length));
  return createPublicKey({ key: { kty: 'EC', crv, x, y }, format: 'jwk' });
}

/** RFC 8017, 9.2: the token only pads and encrypts. */
function digestInfo(hash: Buffer): Buffer {
  return sequence(sequence(oid(oids.sha256), derNull), octetString(hash));
}

/** PKCS#11 returns r and s, X.509 contains ECDSA-Sig-Value (RFC 3279, 2.2.3). */
function ecdsaValue(raw: Buffer): Buffer {
  const half = raw.length / 2;
  return sequence(unsignedInteger(raw.subarray(0, half)), unsignedInteger(raw.subarray(half)));
}

async function pinOf(file: string): Promise<string> {
  await assertSecret(file);
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw new FlotillaError('ca-token-failed', { detail: 'the file with the PIN', cause: error });
  });
  return text.trim();
}

async function loadLibrary(): Promise<Library> {
  try {
    return (await import('pkcs11js')).default;
  } catch (error) {
    throw new FlotillaError('ca-token-failed', {
      detail: 'the package pkcs11js is not installed: npm install pkcs11js',
      cause: error,
    });
  }
}

function failure(error: unknown): FlotillaError {
  if (error instanceof FlotillaError) return error;
  return new FlotillaError('ca-token-failed', { detail: messageOf(error), cause: error });
}
