/**
 * Calls of administrators about issuers.
 *
 * @module
 */
import { z } from 'zod';
import type { CertificateFacts } from '../../../certs/certificate.ts';
import type { Clock } from '../../../core/clock.ts';
import { caStatusSchema } from '../../../core/protocol/ca-status.ts';
import { issuerSchema, issuersSchema } from '../../../core/protocol/enrollment-api.ts';
import type { StateFolder } from '../../../core/state-folder.ts';
import { purposeOf } from '../../ca/ca-inventory.ts';
import { caReport } from '../../ca/ca-report.ts';
import type { CertificateAuthority } from '../../ca/certificate-authority.ts';
import type { IssuerRollover } from '../../rollover/issuer-rollover.ts';
import { iso } from '../device-view.ts';
import { route, type HttpRoute } from '../route.ts';

export interface IssuerRouteDeps {
  readonly clock: Clock;
  readonly state: StateFolder;
  readonly ca: CertificateAuthority;
  readonly rollover: IssuerRollover;
}

export function issuerRoutes({ ca, clock, rollover, state }: IssuerRouteDeps): HttpRoute[] {
  const isCurrent = (fingerprint: string): boolean =>
    [ca.current, ca.service].some((one) => one.certificate.fingerprint === fingerprint);
  const issuerView = (certificate: CertificateFacts): z.infer<typeof issuerSchema> => ({
    fingerprint: certificate.fingerprint,
    name: certificate.x509.subject,
    current: isCurrent(certificate.fingerprint),
    purpose: purposeOf(certificate),
    notAfter: iso(certificate.notAfterMs),
  });
  return [
    route({
      method: 'GET',
      path: '/v1/ca/status',
      summary: 'Returns roots, issuers, what expires and what is wrong',
      access: 'viewer',
      response: caStatusSchema,
      handle: () => caReport(state, clock.now()),
    }),
    route({
      method: 'GET',
      path: '/v1/issuers',
      summary: 'Lists the trusted issuers, the current one first',
      access: 'viewer',
      response: issuersSchema,
      handle: () =>
        Promise.resolve({
          issuers: ca.issuers.map(({ certificate }) => issuerView(certificate)),
        }),
    }),
    route({
      method: 'POST',
      path: '/v1/issuers',
      summary: 'Creates an issuer, which becomes the current one when every broker trusts it',
      access: 'admin',
      status: 201,
      body: z.strictObject({ purpose: z.enum(['devices', 'services']).optional() }).optional(),
      response: issuerSchema,
      handle: async ({ actor, body }) => issuerView(await rollover.introduce(actor, body?.purpose)),
    }),
    route({
      method: 'DELETE',
      path: '/v1/issuers/:fingerprint',
      summary: 'Removes a former issuer that is no longer needed',
      access: 'admin',
      status: 204,
      params: z.strictObject({ fingerprint: z.string().regex(/^sha256:[0-9a-f]{64}$/) }),
      async handle({ params, actor }) {
        await rollover.retire(params.fingerprint, actor);
        return undefined;
      },
    }),
  ];
}
