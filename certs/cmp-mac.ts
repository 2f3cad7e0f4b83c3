/**
 * MACs of CMP messages with a shared secret: PasswordBasedMac (RFC 4210, 5.1.3.1) and PBMAC1 (RFC 9481, 6.1.2;
 * RFC 8018, 7.1).
 *
 * The client chooses the parameters, so that they are bounded: at the maximum, the first takes 10 ms on the event
 * loop, the second 0.1 s on another thread. SHA-1 is accepted only as the HMAC, because OpenSSL 3 uses
 * HMAC-SHA1 by default; no attack on HMAC-SHA1 is known.
 *
 * @module
 */
import { createHmac, hash, pbkdf2, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { FlotillaError } from '../core/errors/flotilla-error.ts';
import { tags, type DerNode } from './der.ts';
import { derNull, integer, octetString, oid, sequence } from './der-encode.ts';
import { Fields, oidOf, smallNumberOf } from './der-fields.ts';
import { oids } from './oids.ts';

const saltMaxBytes = 128;
/** RFC 4211, 4.4: at least 100. */
const iterationsMin = 100;
export const passwordMacIterationsMax = 10_000;
export const pbmac1IterationsMax = 200_000;
const saltBytes = 16;

/** The parameters of a MAC with a shared secret. */
export type CmpMac =
  | {
      readonly kind: 'password';
      readonly salt: Buffer;
      /** The hash that makes the key. */
      readonly digest: string;
      readonly iterations: number;
      readonly hmac: Hmac;
    }
  | {
      readonly kind: 'pbmac1';
      readonly salt: Buffer;
      /** The hash of the HMAC that makes the key. */
      readonly digest: string;
      readonly iterations: number;
      readonly keyBytes: number;
      readonly hmac: Hmac;
    };

interface Hmac {
  readonly oid: string;
  readonly digest: string;
}

const digests = new Map<string, string>([
  [oids.sha256, 'sha256'],
  [oids.sha384, 'sha384'],
  [oids.sha512, 'sha512'],
]);
const prfs = new Map<string, string>([
  [oids.hmacWithSha256, 'sha256'],
  [oids.hmacWithSha384, 'sha384'],
  [oids.hmacWithSha512, 'sha512'],
]);
const hmacs = new Map<string, string>([
  ...prfs,
  [oids.hmacSha1, 'sha1'],
  [oids.hmacWithSha1, 'sha1'],
]);

/** Whether an AlgorithmIdentifier is that of a MAC with a shared secret. @throws DerError */
export function isMacAlgorithm(node: DerNode): boolean {
  const name = oidOf(new Fields(node, tags.sequence, 'algorithm').next(tags.oid));
  return name === oids.passwordBasedMac || name === oids.pbmac1;
}

/**
 * Parses the AlgorithmIdentifier of a MAC.
 *
 * @throws FlotillaError `cmp-algorithm-refused` for an algorithm or a parameter that is not accepted
 * @throws DerError
 */
export function readMac(node: DerNode): CmpMac {
  const fields = new Fields(node, tags.sequence, 'MAC');
  const name = oidOf(fields.next(tags.oid));
  const parameters = new Fields(fields.next(tags.sequence), tags.sequence, 'MAC parameters');
  fields.end();
  const mac = name === oids.passwordBasedMac ? readPassword(parameters) : readPbmac1(parameters);
  const max = mac.kind === 'password' ? passwordMacIterationsMax : pbmac1IterationsMax;
  if (mac.salt.length < 8 || mac.salt.length > saltMaxBytes)
    throw refused('the length of the salt');
  if (mac.iterations < iterationsMin || mac.iterations > max) {
    throw refused(`${mac.iterations} iterations; accepted: ${iterationsMin} to ${max}`);
  }
  return mac;
}

function readPassword(fields: Fields): CmpMac {
  const salt = fields.next(tags.octetString).content;
  const digest = named(fields.next(tags.sequence), digests);
  const iterations = smallNumberOf(fields.next(tags.integer));
  const hmac = named(fields.next(tags.sequence), hmacs);
  fields.end();
  return { kind: 'password', salt, digest: digest.digest, iterations, hmac };
}

function readPbmac1(parameters: Fields): CmpMac {
  const kdf = new Fields(parameters.next(tags.sequence), tags.sequence, 'key derivation');
  const hmac = named(parameters.next(tags.sequence), hmacs);
  parameters.end();
  if (oidOf(kdf.next(tags.oid)) !== oids.pbkdf2) throw refused('not PBKDF2');
  const fields = new Fields(kdf.next(tags.sequence), tags.sequence, 'PBKDF2');
  kdf.end();
  const salt = fields.next(tags.octetString).content;
  const iterations = smallNumberOf(fields.next(tags.integer));
  // RFC 9481, 6.1.2: the length is stated; without a function the default would be HMAC-SHA1.
  const keyBytes = smallNumberOf(fields.next(tags.integer));
  const { digest } = named(fields.next(tags.sequence), prfs);
  fields.end();
  if (keyBytes < 20 || keyBytes > 64) throw refused(`a key of ${keyBytes} bytes`);
  return { kind: 'pbmac1', salt, digest, iterations, keyBytes, hmac };
}

function named(node: DerNode, known: ReadonlyMap<string, string>): Hmac {
  const fields = new Fields(node, tags.sequence, 'algorithm');
  const name = oidOf(fields.next(tags.oid));
  fields.optional(tags.null);
  fields.end();
  const digest = known.get(name);
  if (digest === undefined) throw refused(`the algorithm ${name}`);
  return { oid: name, digest };
}

function refused(detail: string): FlotillaError {
  return new FlotillaError('cmp-algorithm-refused', { detail: `MAC: ${detail}` });
}

/** The AlgorithmIdentifier (DER). */
export function encodeMac(mac: CmpMac): Buffer {
  const hmac = sequence(oid(mac.hmac.oid), derNull);
  if (mac.kind === 'password') {
    const digest = sequence(oid(nameIn(digests, mac.digest)));
    return sequence(
      oid(oids.passwordBasedMac),
      sequence(octetString(mac.salt), digest, integer(mac.iterations), hmac),
    );
  }
  const prf = sequence(oid(nameIn(prfs, mac.digest)), derNull);
  const kdf = sequence(octetString(mac.salt), integer(mac.iterations), integer(mac.keyBytes), prf);
  return sequence(oid(oids.pbmac1), sequence(sequence(oid(oids.pbkdf2), kdf), hmac));
}

function nameIn(known: ReadonlyMap<string, string>, digest: string): string {
  for (const [name, value] of known) if (value === digest) return name;
  throw new TypeError(`no name of ${digest}`);
}

/** The same parameters with a new salt, for a response. */
export function freshMac(mac: CmpMac): CmpMac {
  return { ...mac, salt: randomBytes(saltBytes) };
}

const deriveKey = promisify(pbkdf2);

/** The MAC of data. */
export async function macOf(mac: CmpMac, secret: Buffer, data: Buffer): Promise<Buffer> {
  const { digest, salt, iterations } = mac;
  let key: Buffer;
  if (mac.kind === 'pbmac1') {
    key = await deriveKey(secret, salt, iterations, mac.keyBytes, digest);
  } else {
    key = Buffer.concat([secret, salt]);
    for (let i = 0; i < iterations; i++) key = hash(digest, key, 'buffer');
  }
  return createHmac(mac.hmac.digest, key).update(data).digest();
}
