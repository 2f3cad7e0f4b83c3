/**
 * A small PKI for tests: root, issuer, keys of every type.
 *
 * @module
 */
import type { KeyObject } from 'node:crypto';
import type { AuthorityUrls } from '../../certs/authority-points.ts';
import { Authority, createRoot } from '../../certs/authority.ts';
import { generateKey, spkiOf, type KeyType } from '../../certs/key.ts';
import { systemClock, type Clock } from '../../core/clock.ts';

export const dayMs = 86_400_000;

/** The key types that tests use; larger RSA keys take seconds to generate. */
export const quickKeyTypes = ['p256', 'p384', 'ed25519', 'rsa2048'] as const;

const made = new Map<string, Promise<KeyObject>>();

/** A key of a type, generated once per process for each `use`. */
export function keyFor(type: KeyType, use = 'any'): Promise<KeyObject> {
  const name = `${type} ${use}`;
  let key = made.get(name);
  if (key === undefined) made.set(name, (key = generateKey(type)));
  return key;
}

export interface World {
  readonly clock: Clock;
  readonly root: Authority;
  readonly issuer: Authority;
  /** PEM of both. */
  readonly ca: string;
}

/** A root and an issuer below it, with keys of one type. They use the real time, as openssl does. */
export async function world(
  type: KeyType = 'p256',
  { clock = systemClock, urls = {} }: { clock?: Clock; urls?: AuthorityUrls } = {},
): Promise<World> {
  const rootKey = await keyFor(type, 'root');
  const issuerKey = await keyFor(type, 'issuer');
  const rootCertificate = createRoot({
    commonName: 'Test root',
    validityMs: 3650 * dayMs,
    key: rootKey,
    clock,
  });
  const root = new Authority({ key: rootKey, certificate: rootCertificate.pem, clock });
  const issuerCertificate = root.issue({
    spki: spkiOf(issuerKey),
    profile: 'issuer',
    commonName: 'Test issuer',
    validityMs: 1825 * dayMs,
  });
  const issuer = new Authority({ key: issuerKey, certificate: issuerCertificate.der, clock, urls });
  return { clock, root, issuer, ca: rootCertificate.pem + issuerCertificate.pem };
}
