/**
 * Calls with which a device checks what it trusts and who it is.
 *
 * @module
 */
import {
  caSchema,
  deviceServersSchema,
  renewalInfoSchema,
  whoamiSchema,
} from '../../../core/protocol/enrollment-api.ts';
import { FlotillaError } from '../../../core/errors/flotilla-error.ts';
import type { CertificateAuthority } from '../../ca/certificate-authority.ts';
import type { Config } from '../../../core/config/config.ts';
import type { RenewalAdviser } from '../../enrollment/renewal-advice.ts';
import { requireIdentity } from '../client-certificate.ts';
import { iso } from '../device-view.ts';
import { route, type HttpRoute } from '../route.ts';

export interface IdentityRouteDeps {
  readonly adviser: RenewalAdviser;
  readonly ca: CertificateAuthority;
  readonly config: Config;
}

export function identityRoutes({ adviser, ca, config }: IdentityRouteDeps): HttpRoute[] {
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
      path: '/v1/device-servers',
      summary: 'Returns the roots of devices that are servers, for programs that connect to them',
      access: 'anyone',
      response: deviceServersSchema,
      handle() {
        const [current, ...others] = ca.deviceServers;
        if (current === undefined) {
          throw new FlotillaError('issuer-not-found', { detail: 'no profile has serverNames' });
        }
        return Promise.resolve({
          fingerprint: current.fingerprint,
          ca: [current, ...others].map(({ pem }) => pem).join(''),
        });
      },
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
    route({
      method: 'GET',
      path: '/v1/renewal-info',
      summary: 'Returns when the client certificate should be renewed',
      access: 'renewing',
      response: renewalInfoSchema,
      handle({ identity, header }) {
        const { record, certificate } = requireIdentity(identity);
        const advice = adviser.advise(certificate, record);
        const retryAfterSeconds = Math.ceil(config.enroll.renewal.checkInterval / 1000);
        header('retry-after', String(retryAfterSeconds));
        return Promise.resolve({
          device: record.id,
          serial: certificate.serial,
          renewAt: iso(advice.renewAtMs),
          renewInSeconds: adviser.secondsUntil(advice),
          reason: advice.reason,
          retryAfterSeconds,
        });
      },
    }),
  ];
}
