/**
 * A CA of one root and one issuer, as if it had been read from the disk.
 *
 * @module
 */
import type { Authority } from '../../certs/authority.ts';
import type { CertificateFacts } from '../../certs/certificate.ts';
import type { OpenedCa } from '../../enroll/ca/ca-folder.ts';

/** The issuer signs for devices and services. */
export function openedCa(root: CertificateFacts, authority: Authority): OpenedCa {
  const issuer = { certificate: authority.certificate, above: [], root, purpose: 'all' } as const;
  return {
    inventory: {
      root,
      roots: [root],
      next: undefined,
      former: undefined,
      cross: [],
      current: issuer,
      service: undefined,
      deviceServers: undefined,
      unsigned: [],
      issuers: [issuer],
      withdrawn: [],
    },
    rootCrls: new Map(),
    issuers: [{ ...issuer, authority }],
  };
}
