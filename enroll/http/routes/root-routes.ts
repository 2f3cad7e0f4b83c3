/**
 * Calls of administrators about roots.
 *
 * @module
 */
import { z } from 'zod';
import type { CertificateFacts } from '../../../certs/certificate.ts';
import { rootSchema, signedListsSchema } from '../../../core/protocol/ca-status.ts';
import { subjectText } from '../../../core/subject-text.ts';
import type { IssuerWithdrawal } from '../../rollover/issuer-withdrawal.ts';
import type { RootRollover } from '../../rollover/root-rollover.ts';
import { iso } from '../device-view.ts';
import { route, type HttpRoute } from '../route.ts';

export interface RootRouteDeps {
  readonly changes: { readonly roots: RootRollover; readonly withdrawal: IssuerWithdrawal };
}

const pemText = z.string().max(64 * 1024);

export function rootRoutes({ changes: { roots, withdrawal } }: RootRouteDeps): HttpRoute[] {
  return [
    route({
      method: 'POST',
      path: '/v1/roots',
      summary: 'Makes the next root the current one; creates it first if there is none',
      access: 'admin',
      status: 201,
      body: z.strictObject({}).optional(),
      response: rootSchema,
      handle: async ({ actor }) => rootView(await roots.rollOver(actor)),
    }),
    route({
      method: 'POST',
      path: '/v1/roots/import',
      summary: 'Trusts a root whose key is stored elsewhere, as the next one',
      access: 'admin',
      status: 201,
      body: z.strictObject({ certificate: pemText, cross: pemText.default('') }),
      bodyMaxBytes: 160 * 1024,
      response: rootSchema,
      handle: async ({ actor, body }) =>
        rootView(await roots.importNext({ ...body, key: undefined }, actor)),
    }),
    route({
      method: 'POST',
      path: '/v1/roots/crl',
      summary: 'Signs the lists of the roots again, with every withdrawn issuer',
      access: 'admin',
      body: z.strictObject({}).optional(),
      response: signedListsSchema,
      handle: async ({ actor }) => ({ signed: await withdrawal.signLists(actor) }),
    }),
    route({
      method: 'DELETE',
      path: '/v1/roots/:fingerprint',
      summary: 'Removes the former root with its issuers, when nothing needs them',
      access: 'admin',
      status: 204,
      params: z.strictObject({ fingerprint: z.string().regex(/^sha256:[0-9a-f]{64}$/) }),
      async handle({ params, actor }) {
        await roots.retire(params.fingerprint, actor);
        return undefined;
      },
    }),
  ];
}

function rootView({ fingerprint, x509, notAfterMs }: CertificateFacts): z.infer<typeof rootSchema> {
  return { fingerprint, name: subjectText(x509), notAfter: iso(notAfterMs) };
}
