/**
 * The list of enrollment tokens. The tokens themselves are not stored and cannot be shown again.
 *
 * @module
 */
import { z } from 'zod';
import type { Clock } from '../../../core/clock.ts';
import { tokenPageSchema, type tokenRowSchema } from '../../../core/protocol/operator-api.ts';
import { tokenName } from '../../enrollment/tokens.ts';
import type { TokenRecord } from '../../registry/records.ts';
import type { Registry } from '../../registry/registry.ts';
import { iso } from '../device-view.ts';
import { route, type HttpRoute } from '../route.ts';

const pageItemsDefault = 100;
const pageItemsMax = 1000;

const listQuery = z.strictObject({
  device: z.string().min(1).max(128).optional(),
  group: z.string().min(1).max(128).optional(),
  status: z.enum(['active', 'used', 'expired']).optional(),
  limit: z.coerce.number().int().min(1).default(pageItemsDefault),
  after: z
    .string()
    .regex(/^\d{1,16}\.[0-9a-f]{64}$/, 'not a cursor')
    .optional(),
});

export function tokenListRoutes(registry: Registry, clock: Clock): HttpRoute[] {
  return [
    route({
      method: 'GET',
      path: '/v1/tokens',
      summary: 'Enrollment tokens, newest first, by page',
      access: 'viewer',
      query: listQuery,
      response: tokenPageSchema,
      async handle({ query }) {
        const limit = Math.min(query.limit, pageItemsMax);
        const [atText, hash = ''] = (query.after ?? '').split('.');
        const start = query.after === undefined ? undefined : { atMs: Number(atText), hash };
        const nowMs = clock.now();
        let page: TokenRecord[] = [];
        for await (const row of registry.rows('tokens')) {
          if (query.device !== undefined && row.device !== query.device) continue;
          if (query.group !== undefined && row.group !== query.group) continue;
          if (query.status !== undefined && statusOf(row, nowMs) !== query.status) continue;
          if (start !== undefined && !isOlder(row, start)) continue;
          page.push(row);
          if (page.length > 2 * limit + 64) page = newest(page, limit + 1);
        }
        const [...tokens] = newest(page, limit + 1);
        const more = tokens.length > limit;
        if (more) tokens.pop();
        const last = tokens.at(-1);
        return {
          tokens: tokens.map((token) => view(token, nowMs)),
          next: more && last !== undefined ? `${last.createdAtMs}.${last.hash}` : null,
        };
      },
    }),
  ];
}

function newest(rows: readonly TokenRecord[], count: number): TokenRecord[] {
  return [...rows]
    .sort((one, other) => (isOlder(other, { atMs: one.createdAtMs, hash: one.hash }) ? -1 : 1))
    .slice(0, count);
}

function isOlder(row: TokenRecord, than: { atMs: number; hash: string }): boolean {
  return row.createdAtMs === than.atMs ? row.hash > than.hash : row.createdAtMs < than.atMs;
}

function statusOf(
  { uses, usesMax, expiresAtMs }: TokenRecord,
  nowMs: number,
): 'active' | 'used' | 'expired' {
  if (uses >= usesMax) return 'used';
  return expiresAtMs <= nowMs ? 'expired' : 'active';
}

function view(row: TokenRecord, nowMs: number): z.infer<typeof tokenRowSchema> {
  const { hash, device, group, role, profile, uses, usesMax, createdAtMs, expiresAtMs } = row;
  return {
    name: tokenName(hash),
    device,
    group,
    role: role ?? null,
    profile,
    uses,
    usesMax,
    createdAt: iso(createdAtMs),
    expiresAt: iso(expiresAtMs),
    status: statusOf(row, nowMs),
  };
}
