/**
 * Calls of operators about enrollment tokens.
 *
 * @module
 */
import { z } from 'zod';
import type { Config } from '../../../core/config/config.ts';
import {
  groupTokenRequestSchema,
  groupTokenSchema,
  tokenBatchRequestSchema,
  tokenBatchSchema,
  tokenRequestSchema,
  tokenSchema,
  type TokenAnswer,
} from '../../../core/protocol/enrollment-api.ts';
import { FlotillaError } from '../../../core/errors/flotilla-error.ts';
import type { CertificateAuthority } from '../../ca/certificate-authority.ts';
import { cmpReference, tokenName, type MadeToken, type Tokens } from '../../enrollment/tokens.ts';
import type { KnownRoles } from '../../policy/known-roles.ts';
import { iso } from '../device-view.ts';
import { route, type HttpRoute } from '../route.ts';

export interface TokenRouteDeps {
  readonly ca: CertificateAuthority;
  readonly config: Config;
  readonly roles: KnownRoles;
  readonly tokens: Tokens;
  /** The URL at which devices reach the service. */
  readonly url: () => string;
}

export function tokenRoutes(deps: TokenRouteDeps): HttpRoute[] {
  const { ca, tokens, url, config, roles } = deps;
  const responseOf = ({ token, record }: MadeToken): TokenAnswer => {
    if (record.device === null) throw new FlotillaError('internal');
    const fingerprint = ca.fingerprint;
    // The token is in the environment, because other users of the device can read command lines.
    const command = `FLOTILLA_TOKEN=${token} flotilla device enroll --url ${url()} --fingerprint ${fingerprint} --id ${record.device} --out ${record.device}`;
    return {
      token,
      ...referenceOf(record),
      device: record.device,
      group: record.group,
      role: record.role ?? null,
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
      summary: 'Creates a token for one device; it is shown only once',
      access: 'operator',
      status: 201,
      body: tokenRequestSchema,
      response: tokenSchema,
      async handle({ body, actor }) {
        await roles.assertKnown(body.role);
        const [made] = await tokens.create([body], actor);
        if (made === undefined) throw new FlotillaError('internal');
        return responseOf(made);
      },
    }),
    route({
      method: 'POST',
      path: '/v1/tokens/batch',
      summary: 'Creates tokens for many devices',
      access: 'operator',
      status: 201,
      body: tokenBatchRequestSchema,
      bodyMaxBytes: 1024 * 1024,
      response: tokenBatchSchema,
      async handle({ body: { devices, ...rest }, actor }) {
        const { tokensPerRequestMax } = config.limits.enroll;
        if (devices.length > tokensPerRequestMax) {
          throw new FlotillaError('request-invalid', {
            detail: `at most ${tokensPerRequestMax} tokens`,
          });
        }
        await roles.assertKnown(rest.role);
        const made = await tokens.create(
          devices.map((device) => ({ device, ...rest })),
          actor,
        );
        return { tokens: made.map(responseOf) };
      },
    }),
    route({
      method: 'POST',
      path: '/v1/tokens/group',
      summary: 'Creates a token for new devices of a group, as many as `uses` allows',
      access: 'operator',
      status: 201,
      body: groupTokenRequestSchema,
      response: groupTokenSchema,
      async handle({ body, actor }) {
        await roles.assertKnown(body.role);
        const [made] = await tokens.create([{ device: null, ...body }], actor);
        if (made === undefined) throw new FlotillaError('internal');
        const { token, record } = made;
        return {
          token,
          ...referenceOf(record),
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
      summary: 'Revokes a token',
      access: 'operator',
      status: 204,
      params: z.strictObject({ name: z.string().regex(/^token:[0-9a-f]{16}$/) }),
      async handle({ params, actor }) {
        await tokens.revoke(params.name, actor);
        return undefined;
      },
    }),
  ];
}

function referenceOf(record: MadeToken['record']): { reference?: string } {
  const reference = cmpReference(record);
  return reference === undefined ? {} : { reference };
}
