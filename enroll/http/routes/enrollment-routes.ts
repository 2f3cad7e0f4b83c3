/**
 * Calls of devices: enrollment and renewal.
 *
 * @module
 */
import { readCertificate } from '../../../certs/certificate.ts';
import { noNames } from '../../../certs/subject-names.ts';
import {
  enrollRequestSchema,
  issuedSchema,
  type Issued,
  relayRenewRequestSchema,
  renewRequestSchema,
  waitingSchema,
} from '../../../core/protocol/enrollment-api.ts';
import { z } from 'zod';
import type { CertificateAuthority } from '../../ca/certificate-authority.ts';
import type { Enrollment } from '../../enrollment/enrollment.ts';
import type { Factories } from '../../enrollment/factories.ts';
import { issuedJson, type IssueResult } from '../../enrollment/issue-result.ts';
import type { Renewal } from '../../enrollment/renewal.ts';
import type { RenewalAdviser } from '../../enrollment/renewal-advice.ts';
import { requireIdentity } from '../client-certificate.ts';
import { bearerOf } from '../authorization-header.ts';
import { route, type HttpRoute } from '../route.ts';

export interface EnrollmentRouteDeps {
  readonly adviser: RenewalAdviser;
  readonly ca: CertificateAuthority;
  readonly enrollment: Enrollment;
  readonly renewal: Renewal;
  readonly factories: Factories;
}

const profileQuery = z.strictObject({ profile: z.string().min(1).max(64).optional() });

export function enrollmentRoutes(deps: EnrollmentRouteDeps): HttpRoute[] {
  const { adviser, ca, enrollment, renewal, factories } = deps;
  const respond = async (result: IssueResult): Promise<Issued> =>
    issuedJson(result, ca, await adviser.renewAtMs(result));
  return [
    route({
      method: 'POST',
      path: '/v1/enroll',
      summary:
        'Issues a first certificate, for a token, a factory certificate or after an approval (202)',
      access: 'anyone',
      status: 201,
      body: enrollRequestSchema,
      query: profileQuery,
      response: z.union([issuedSchema, waitingSchema]),
      async handle({ body, query, headers, certificate, remoteAddress, header, status }) {
        const token = bearerOf(headers.authorization);
        const factory =
          token === undefined && certificate !== undefined
            ? factories.authorization(certificate)
            : undefined;
        const outcome = await enrollment.enroll({
          csr: body.csr,
          device: body.device,
          ...(token === undefined ? {} : { token }),
          ...(factory === undefined ? {} : { factory }),
          ...(query.profile === undefined ? {} : { profile: query.profile }),
          remoteAddress,
        });
        if (outcome.kind === 'issued') return await respond(outcome.result);
        const { request, retryAfterSeconds } = outcome;
        status(202);
        header('retry-after', String(retryAfterSeconds));
        return { status: 'pending' as const, request, device: body.device, retryAfterSeconds };
      },
    }),
    route({
      method: 'POST',
      path: '/v1/renew',
      summary: 'Issues the successor of the client certificate',
      access: 'renewing',
      status: 201,
      body: renewRequestSchema,
      response: issuedSchema,
      async handle({ body, identity, remoteAddress }) {
        const { certificate, x509 } = requireIdentity(identity);
        const result = await renewal.renew({
          csr: body.csr,
          serial: certificate.serial,
          fingerprint: certificate.fingerprint,
          names: readCertificate(x509).names,
          sameNames: false,
          remoteAddress,
          via: 'https',
        });
        return await respond(result);
      },
    }),
    route({
      method: 'POST',
      path: '/v1/relay/renew',
      summary: 'Relays a renewal that a device requested over MQTT (for brokers)',
      access: 'broker',
      status: 201,
      body: relayRenewRequestSchema,
      bodyMaxBytes: 64 * 1024,
      response: issuedSchema,
      async handle({ body, actor }) {
        const result = await renewal.renew({
          csr: body.csr,
          relayed: {
            device: body.device,
            ...(body.proof === undefined ? {} : { proof: body.proof }),
          },
          serial: body.serial,
          fingerprint: body.fingerprint,
          names: noNames,
          sameNames: false,
          remoteAddress: body.remoteAddress,
          via: actor,
        });
        return await respond(result);
      },
    }),
  ];
}
