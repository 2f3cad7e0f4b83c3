/**
 * Calls of operators about tokens and the identities of services.
 *
 * @module
 */
import { z } from 'zod';
import { parseCsr } from '../../../certs/csr.ts';
import { noNames, subjectNamesOf } from '../../../certs/subject-names.ts';
import type { Clock } from '../../../core/clock.ts';
import type { Config } from '../../../core/config/config.ts';
import {
  groupTokenRequestSchema,
  groupTokenSchema,
  issuedSchema,
  serviceRequestSchema,
  tokenBatchRequestSchema,
  tokenBatchSchema,
  tokenRequestSchema,
  tokenSchema,
  type TokenAnswer,
} from '../../../core/protocol/enrollment-api.ts';
import { FlotillaError } from '../../../core/errors/flotilla-error.ts';
import type { CertificateAuthority } from '../../ca/certificate-authority.ts';
import { issuedJson } from '../../enrollment/issue-result.ts';
import { CheckedCsr } from '../../enrollment/csr-checks.ts';
import type { CertificateIssuer } from '../../enrollment/certificate-issuer.ts';
import { tokenName, type MadeToken, type Tokens } from '../../enrollment/tokens.ts';
import { newIdentity } from '../../registry/device-rows.ts';
import { retryOnConflict, type Registry } from '../../registry/registry.ts';
import { iso } from '../device-view.ts';
import { route, type HttpRoute } from '../route.ts';

export interface TokenRouteDeps {
  readonly ca: CertificateAuthority;
  readonly clock: Clock;
  readonly config: Config;
  readonly issuing: CertificateIssuer;
  readonly registry: Registry;
  readonly tokens: Tokens;
  /** Where devices find the service. */
  readonly url: () => string;
}

export function tokenRoutes(deps: TokenRouteDeps): HttpRoute[] {
  const { ca, tokens, url, config } = deps;
  const answer = ({ token, record }: MadeToken): TokenAnswer => {
    if (record.device === null) throw new FlotillaError('internal');
    const fingerprint = ca.fingerprint;
    // The token is in the environment, because other users of the device can read command lines.
    const command = `FLOTILLA_TOKEN=${token} flotilla device enroll --url ${url()} --fingerprint ${fingerprint} --id ${record.device} --out ${record.device}`;
    return {
      token,
      device: record.device,
      group: record.group,
      expiresAt: iso(record.expiresAtMs),
      url: url(),
      fingerprint,
      command,
    };
  };
  return [
    route({
      method: 'POST',
      path: '/v1/tokens',
      summary: 'A token for one device; it is shown this once',
      access: 'operator',
      status: 201,
      body: tokenRequestSchema,
      answer: tokenSchema,
      async handle({ body, actor }) {
        const [made] = await tokens.create([body], actor);
        if (made === undefined) throw new FlotillaError('internal');
        return answer(made);
      },
    }),
    route({
      method: 'POST',
      path: '/v1/tokens/batch',
      summary: 'Tokens for many devices at once',
      access: 'operator',
      status: 201,
      body: tokenBatchRequestSchema,
      bodyMaxBytes: 1024 * 1024,
      answer: tokenBatchSchema,
      async handle({ body: { devices, ...rest }, actor }) {
        const { tokensPerRequestMax } = config.limits.enroll;
        if (devices.length > tokensPerRequestMax) {
          throw new FlotillaError('request-invalid', {
            detail: `at most ${tokensPerRequestMax} tokens`,
          });
        }
        const made = await tokens.create(
          devices.map((device) => ({ device, ...rest })),
          actor,
        );
        return { tokens: made.map(answer) };
      },
    }),
    route({
      method: 'POST',
      path: '/v1/tokens/group',
      summary: 'A token for as many new devices of a group as `uses` says',
      access: 'operator',
      status: 201,
      body: groupTokenRequestSchema,
      answer: groupTokenSchema,
      async handle({ body, actor }) {
        const [made] = await tokens.create([{ device: null, ...body }], actor);
        if (made === undefined) throw new FlotillaError('internal');
        const { token, record } = made;
        return {
          token,
          name: tokenName(record.hash),
          group: body.group,
          uses: record.usesMax,
          expiresAt: iso(record.expiresAtMs),
          url: url(),
          fingerprint: ca.fingerprint,
        };
      },
    }),
    route({
      method: 'DELETE',
      path: '/v1/tokens/:name',
      summary: 'Takes a token away before its time',
      access: 'operator',
      status: 204,
      params: z.strictObject({ name: z.string().regex(/^token:[0-9a-f]{16}$/) }),
      async handle({ params, actor }) {
        await tokens.revoke(params.name, actor);
        return undefined;
      },
    }),
    serviceRoute(deps),
  ];
}

function serviceRoute({ ca, clock, config, issuing, registry }: TokenRouteDeps): HttpRoute {
  return route({
    method: 'POST',
    path: '/v1/services',
    summary: 'A certificate for a service, an administrator or a broker',
    access: 'admin',
    status: 201,
    body: serviceRequestSchema,
    bodyMaxBytes: 64 * 1024,
    answer: issuedSchema,
    async handle({ body: { name, role, csr: text, names }, actor, remoteAddress }) {
      const csr = parseCsr(text);
      if (csr.commonName !== undefined && csr.commonName !== name) {
        throw new FlotillaError('csr-name-mismatch', { detail: `expected was ${name}` });
      }
      const answer = await retryOnConflict(async () => {
        const row = await registry.get('devices', name);
        if (row !== undefined && row.role !== role) {
          throw new FlotillaError('identity-role-conflict', { detail: `${name} is ${row.role}` });
        }
        if (row?.status === 'suspended' || row?.status === 'quarantined') {
          throw new FlotillaError('device-suspended', { detail: name });
        }
        return issuing.issue({
          csr: await CheckedCsr.check(csr, name, { registry, ca }),
          row: {
            ...(row ?? newIdentity({ id: name, role, createdAtMs: clock.now() })),
            status: 'active',
          },
          expected: row?.version ?? 0,
          profile: role,
          validityMs: config.enroll.certificateValidity,
          names: role === 'broker' ? subjectNamesOf(names) : noNames,
          event: {
            action: 'certificate-issued',
            actor,
            remoteAddress,
            detail: { way: 'service', role },
          },
        });
      });
      return issuedJson(answer, ca);
    },
  });
}
