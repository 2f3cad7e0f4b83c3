/**
 * Calls with which a device checks what it trusts and who it is.
 *
 * @module
 */
import { caSchema, whoamiSchema } from '../../../core/protocol/enrollment-api.ts';
import type { CertificateAuthority } from '../../ca/certificate-authority.ts';
import { requireIdentity } from '../client-certificate.ts';
import { iso } from '../device-view.ts';
import { route, type HttpRoute } from '../route.ts';

export function identityRoutes({ ca }: { readonly ca: CertificateAuthority }): HttpRoute[] {
  return [
    route({
      method: 'GET',
      path: '/v1/ca',
      summary: 'Returns the CA certificates and the fingerprint that devices pin',
      access: 'anyone',
      response: caSchema,
      handle: () =>
        Promise.resolve({
          fingerprint: ca.fingerprint,
          ca: ca.certificates.map(({ pem }) => pem).join(''),
        }),
    }),
    route({
      method: 'GET',
      path: '/v1/whoami',
      summary: 'Returns the identity of the client certificate, if it is valid',
      access: 'identity',
      response: whoamiSchema,
      handle({ identity }) {
        const { record, certificate } = requireIdentity(identity);
        return Promise.resolve({
          id: record.id,
          role: record.role,
          serial: certificate.serial,
          status: record.status,
          notAfter: iso(certificate.notAfterMs),
        });
      },
    }),
  ];
}
