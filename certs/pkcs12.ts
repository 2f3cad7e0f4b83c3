/**
 * PKCS#12 (RFC 7292): a key and its certificates in one file, for browsers and key stores.
 *
 * Key and certificates are encrypted with PBES2 (pbes2.ts); the MAC is HMAC-SHA256 with the key
 * derivation of the format and the same number of iterations; with fewer, the MAC would be the cheaper
 * way to guess the passphrase. OpenSSL 1.1, Java 12, Windows 10, macOS 12 and later, and Firefox read it.
 *
 * @module
 */
import { createHmac, hash, randomBytes, type KeyObject } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { contextTag, tags } from './der.ts';
import {
  derNull,
  element,
  explicit,
  integer,
  octetString,
  oid,
  sequence,
  setOf,
} from './der-encode.ts';
import { encryptedKeyInfo } from './encrypted-key.ts';
import { oids } from './oids.ts';
import { pbes2Encrypt, pbkdf2Iterations } from './pbes2.ts';

export interface Pkcs12Options {
  /** The private key, of any type. */
  readonly key: KeyObject;
  /** Its certificate, then those of its issuers; DER. */
  readonly certificates: readonly Uint8Array[];
  readonly passphrase: string;
  /** The name that a key store shows. */
  readonly name: string;
}

/** Builds the file, DER. Takes about 1 s, in slices on the event loop of at most 0.1 s. */
export async function createPkcs12(options: Pkcs12Options): Promise<Buffer> {
  const { key, certificates, passphrase, name } = options;
  const [leaf] = certificates;
  const keyId = hash('sha1', leaf ?? Buffer.alloc(0), 'buffer');
  const marks = setOf(
    sequence(oid(oids.friendlyName), setOf(element(tags.bmpString, utf16(name)))),
    sequence(oid(oids.localKeyId), setOf(octetString(keyId))),
  );
  const certBags = certificates.map((der, index) =>
    sequence(
      oid(oids.certBag),
      explicit(0, sequence(oid(oids.x509Certificate), explicit(0, octetString(der)))),
      ...(index === 0 ? [marks] : []),
    ),
  );
  const keyBag = sequence(
    oid(oids.shroudedKeyBag),
    explicit(0, encryptedKeyInfo(key, passphrase)),
    marks,
  );
  await nextTurn();
  const safe = sequence(
    encryptedContent(sequence(...certBags), passphrase),
    data(sequence(keyBag)),
  );
  const salt = randomBytes(16);
  const macKey = await pkcs12MacKey(passphrase, salt, pbkdf2Iterations);
  const digest = createHmac('sha256', macKey).update(safe).digest();
  const mac = sequence(
    sequence(sequence(oid(oids.sha256), derNull), octetString(digest)),
    octetString(salt),
    integer(pbkdf2Iterations),
  );
  return sequence(integer(3), data(safe), mac);
}

/** ContentInfo of type data. */
function data(content: Buffer): Buffer {
  return sequence(oid(oids.data), explicit(0, octetString(content)));
}

/** ContentInfo of type encryptedData (RFC 5652, 8). */
function encryptedContent(content: Buffer, passphrase: string): Buffer {
  const { algorithm, bytes } = pbes2Encrypt(content, passphrase);
  const info = sequence(oid(oids.data), algorithm, element(contextTag(0, 'primitive'), bytes));
  return sequence(oid(oids.encryptedData), explicit(0, sequence(integer(0), info)));
}

/**
 * RFC 7292, B.2 with SHA-256, purpose MAC, 32 bytes: the length of one hash, so the loop over further
 * blocks is not needed.
 */
async function pkcs12MacKey(passphrase: string, salt: Buffer, iterations: number): Promise<Buffer> {
  const block = 64;
  const fill = (bytes: Buffer): Buffer =>
    Buffer.alloc(Math.ceil(bytes.length / block) * block, bytes);
  const password = Buffer.concat([utf16(passphrase), Buffer.alloc(2)]);
  const purpose = Buffer.alloc(block, 3);
  let digest = hash('sha256', Buffer.concat([purpose, fill(salt), fill(password)]), 'buffer');
  for (let round = 1; round < iterations; round++) {
    digest = hash('sha256', digest, 'buffer');
    if (round % 10_000 === 0) await nextTurn();
  }
  return digest;
}

/** BMPString content: UTF-16, big-endian. */
function utf16(text: string): Buffer {
  return Buffer.from(text, 'utf16le').swap16();
}
