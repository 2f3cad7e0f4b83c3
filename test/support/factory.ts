/**
 * A manufacturer whose device certificates may enroll.
 *
 * @module
 */
import { randomUUID } from 'node:crypto';
import { Authority, createRoot } from '../../certs/authority.ts';
import { generateKeySync, privateKeyPem, spkiOf } from '../../certs/key.ts';
import { systemClock } from '../../core/clock.ts';
import { csrOf, replyOf, type Credential, type TestService } from './enroll-service.ts';

export interface Factory {
  readonly pem: string;
  device(name: string, validityMs?: number): Credential & { serial: string };
}

/**
 * A CA of a manufacturer, with its own name.
 *
 * @param signs which CA signs the devices; an intermediate one follows the certificate of a device in PEM
 */
export function factoryCa(signs: 'root' | 'intermediate' = 'root'): Factory {
  const key = generateKeySync('p256');
  const root = createRoot({
    commonName: `Maker ${randomUUID()}`,
    validityMs: 9e10,
    key,
    clock: systemClock,
  });
  const anchor = new Authority({ key, certificate: root.pem, clock: systemClock });
  const { authority, pem } =
    signs === 'root' ? { authority: anchor, pem: '' } : intermediateOf(anchor);
  return {
    pem: root.pem,
    device(name, validityMs = 9e9) {
      const own = generateKeySync('p256');
      const issued = authority.issue({
        spki: spkiOf(own),
        profile: 'device',
        commonName: name,
        validityMs,
      });
      return { cert: issued.pem + pem, key: privateKeyPem(own), serial: issued.serial };
    },
  };
}

function intermediateOf(anchor: Authority): { authority: Authority; pem: string } {
  const key = generateKeySync('p256');
  const { pem } = anchor.issue({
    spki: spkiOf(key),
    profile: 'issuer',
    commonName: `Maker plant ${randomUUID()}`,
    validityMs: 9e10,
  });
  return { authority: new Authority({ key, certificate: pem, clock: systemClock }), pem };
}

/** Enrolls with a factory certificate. */
export async function enrollWith(
  service: TestService,
  device: string,
  credential: Credential,
  csr = csrOf(device).pem,
): Promise<ReturnType<typeof replyOf>> {
  return replyOf(
    await service.call({
      method: 'POST',
      path: '/v1/enroll',
      body: { device, csr },
      cert: credential.cert,
      key: credential.key,
    }),
  );
}
