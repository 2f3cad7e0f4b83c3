/**
 * Calls of administrators about issuers.
 *
 * @module
 */
import { z } from 'zod';
import type { CertificateFacts } from '../../../certs/certificate.ts';
import { bytesOf } from '../../../certs/crl.ts';
import type { Clock } from '../../../core/clock.ts';
import {
  caStatusSchema,
  issuerRequestSchema,
  publishedListsSchema,
  withdrawnIssuerSchema,
} from '../../../core/protocol/ca-status.ts';
import { issuerSchema, issuersSchema } from '../../../core/protocol/enrollment-api.ts';
import { subjectText } from '../../../core/subject-text.ts';
import type { StateFolder } from '../../../core/state-folder.ts';
import { purposeOf } from '../../ca/ca-inventory.ts';
import { caReport } from '../../ca/ca-report.ts';
import type { CertificateAuthority } from '../../ca/certificate-authority.ts';
import type { RevocationList } from '../../revocation/revocation-list.ts';
import type { IssuerRollover } from '../../rollover/issuer-rollover.ts';
import type { IssuerWithdrawal } from '../../rollover/issuer-withdrawal.ts';
import { iso } from '../device-view.ts';
import { route, type HttpRoute } from '../route.ts';

export interface IssuerRouteDeps {
  readonly clock: Clock;
  readonly state: StateFolder;
  readonly ca: CertificateAuthority;
  readonly lists: RevocationList;
  readonly changes: { readonly issuers: IssuerRollover; readonly withdrawal: IssuerWithdrawal };
}

const byFingerprint = z.strictObject({ fingerprint: z.string().regex(/^sha256:[0-9a-f]{64}$/) });
const purposeBody = z.strictObject({ purpose: z.enum(['devices', 'services']).optional() });
const anyPurposeBody = z.strictObject({
  purpose: z.enum(['devices', 'services', 'device-servers']).optional(),
});

export function issuerRoutes({ ca, changes, clock, lists, state }: IssuerRouteDeps): HttpRoute[] {
  const { issuers, withdrawal } = changes;
  const isCurrent = (fingerprint: string): boolean =>
    [ca.inventory.current, ca.inventory.service, ca.inventory.deviceServers].some(
      (one) => one?.certificate.fingerprint === fingerprint,
    );
  const issuerView = (certificate: CertificateFacts): z.infer<typeof issuerSchema> => ({
    fingerprint: certificate.fingerprint,
    name: subjectText(certificate.x509),
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
      path: '/v1/revocation-lists',
      summary: 'The published lists of revoked certificates, and until when each is valid',
      access: 'viewer',
      response: publishedListsSchema,
      handle: () => publishedLists(ca, lists),
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
      body: anyPurposeBody.optional(),
      response: issuerSchema,
      handle: async ({ actor, body }) => issuerView(await issuers.introduce(actor, body?.purpose)),
    }),
    route({
      method: 'POST',
      path: '/v1/issuers/requests',
      summary: 'Makes a key and a request for an issuer that another CA certifies',
      access: 'admin',
      status: 201,
      body: purposeBody.optional(),
      response: issuerRequestSchema,
      handle: ({ actor, body }) => issuers.request(actor, body?.purpose),
    }),
    route({
      method: 'POST',
      path: '/v1/issuers/import',
      summary: 'Takes an issuer that another CA has certified; it becomes the current one',
      access: 'admin',
      status: 201,
      body: z.strictObject({
        chain: z.string().max(128 * 1024),
        external: z.boolean().optional(),
      }),
      bodyMaxBytes: 160 * 1024,
      response: issuerSchema,
      handle: async ({ actor, body: { chain, external } }) =>
        issuerView(
          await issuers.importSigned(chain, actor, external === true ? 'external' : 'here'),
        ),
    }),
    route({
      method: 'POST',
      path: '/v1/issuers/:fingerprint/withdraw',
      summary: 'Withdraws an issuer whose key is in other hands, at once',
      access: 'admin',
      params: byFingerprint,
      body: z.strictObject({ compromised: z.literal(true) }),
      response: withdrawnIssuerSchema,
      handle: ({ params, actor }) => withdrawal.withdraw(params.fingerprint, actor),
    }),
    route({
      method: 'DELETE',
      path: '/v1/issuers/:fingerprint',
      summary: 'Removes a former issuer that is no longer needed',
      access: 'admin',
      status: 204,
      params: byFingerprint,
      async handle({ params, actor }) {
        await issuers.retire(params.fingerprint, actor);
        return undefined;
      },
    }),
  ];
}

async function publishedLists(
  { inventory, issuers }: CertificateAuthority,
  lists: RevocationList,
): Promise<z.infer<typeof publishedListsSchema>> {
  const found: z.infer<typeof publishedListsSchema>['lists'] = [];
  for (const authority of [...issuers.map(({ certificate }) => certificate), ...inventory.roots]) {
    const list = await lists.of(authority.fingerprint);
    if (list === undefined) continue;
    found.push({
      fingerprint: authority.fingerprint,
      name: subjectText(authority.x509),
      isRoot: inventory.roots.some(({ fingerprint }) => fingerprint === authority.fingerprint),
      path: `/crl/${authority.fingerprint.slice('sha256:'.length, 'sha256:'.length + 16)}.pem`,
      bytes: bytesOf(list.der),
      nextUpdate: iso(list.nextUpdateMs),
    });
  }
  return { lists: found };
}
