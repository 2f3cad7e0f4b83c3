/**
 * The call of administrators that issues certificates to services, administrators, brokers and other servers.
 *
 * @module
 */
import { parseCsr } from '../../../certs/csr.ts';
import { noNames, subjectNamesOf } from '../../../certs/subject-names.ts';
import type { Clock } from '../../../core/clock.ts';
import type { Config } from '../../../core/config/config.ts';
import { issuedSchema, serviceRequestSchema } from '../../../core/protocol/enrollment-api.ts';
import { FlotillaError } from '../../../core/errors/flotilla-error.ts';
import type { CertificateAuthority } from '../../ca/certificate-authority.ts';
import type { CertificateIssuer } from '../../enrollment/certificate-issuer.ts';
import type { RenewalAdviser } from '../../enrollment/renewal-advice.ts';
import { CheckedCsr } from '../../enrollment/csr-checks.ts';
import { issuedJson } from '../../enrollment/issue-result.ts';
import { withRole } from '../../registry/assigned-role.ts';
import { isHeld } from '../../registry/certificate-status.ts';
import { newIdentity } from '../../registry/device-rows.ts';
import { assertNameFree } from '../../registry/reserved-names.ts';
import type { KnownRoles } from '../../policy/known-roles.ts';
import { retryOnConflict, type Registry } from '../../registry/registry.ts';
import { route, type HttpRoute } from '../route.ts';

export interface ServiceRouteDeps {
  readonly adviser: RenewalAdviser;
  readonly ca: CertificateAuthority;
  readonly clock: Clock;
  readonly config: Config;
  readonly issuing: CertificateIssuer;
  readonly registry: Registry;
  readonly roles: KnownRoles;
}

export function serviceRoute({
  adviser,
  ca,
  clock,
  config,
  issuing,
  registry,
  roles,
}: ServiceRouteDeps): HttpRoute {
  return route({
    method: 'POST',
    path: '/v1/services',
    summary: 'Issues a certificate to a service, an administrator, a broker or another server',
    access: 'admin',
    status: 201,
    body: serviceRequestSchema,
    bodyMaxBytes: 64 * 1024,
    response: issuedSchema,
    async handle({ body: { name, role, policyRole, csr: text, names }, actor, remoteAddress }) {
      const csr = parseCsr(text);
      if (csr.commonName !== undefined && csr.commonName !== name) {
        throw new FlotillaError('csr-name-mismatch', { detail: `expected ${name}` });
      }
      await assertNameFree(name, role, registry);
      assertServerNamed(role, names);
      if (policyRole !== undefined && role !== 'service') {
        throw new FlotillaError('request-invalid', {
          detail:
            'policyRole: only an identity of role service can have another role in the policy',
        });
      }
      await roles.assertKnown(policyRole);
      const result = await retryOnConflict(async () => {
        const row = await registry.get('devices', name);
        if (row !== undefined && row.role !== role) {
          throw new FlotillaError('identity-role-conflict', { detail: `${name} is ${row.role}` });
        }
        if (row !== undefined && isHeld(row)) {
          throw new FlotillaError('device-suspended', { detail: name });
        }
        return issuing.issue({
          csr: await CheckedCsr.check(csr, name, { registry, ca }),
          row: {
            ...withRole(
              row ?? newIdentity({ id: name, role, createdAtMs: clock.now() }),
              policyRole,
            ),
            status: 'active',
          },
          expected: row?.version ?? 0,
          profile: role,
          validityMs:
            role === 'broker'
              ? config.enroll.serverCertificateValidity
              : config.enroll.certificateValidity,
          names: role === 'broker' || role === 'server' ? subjectNamesOf(names) : noNames,
          event: {
            action: 'certificate-issued',
            actor,
            remoteAddress,
            detail: { way: 'service', role, ...(policyRole === undefined ? {} : { policyRole }) },
          },
        });
      });
      return issuedJson(result, ca, await adviser.renewAtMs(result));
    },
  });
}

/** Clients check the names of a server, so a certificate without names would be useless. */
function assertServerNamed(role: string, names: readonly string[]): void {
  if (role !== 'server' || names.length > 0) return;
  throw new FlotillaError('request-invalid', {
    detail: 'a server certificate needs the names that clients connect to: names',
  });
}
