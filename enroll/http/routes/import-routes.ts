/**
 * Import and export of the registry over HTTP.
 *
 * @module
 */
import { Readable } from 'node:stream';
import { z } from 'zod';
import type { Clock } from '../../../core/clock.ts';
import type { Config } from '../../../core/config/config.ts';
import { utf8Text } from '../../../core/json-text.ts';
import { FlotillaError } from '../../../core/errors/flotilla-error.ts';
import type { KnownRoles } from '../../policy/known-roles.ts';
import type { Registry } from '../../registry/registry.ts';
import { csvHead, csvRow } from '../../bulk-import/device-csv.ts';
import { importRows } from '../../bulk-import/importer.ts';
import { csvRows, jsonRows } from '../../bulk-import/import-rows.ts';
import { deviceJson, type DeviceViewDeps } from '../device-view.ts';
import { deviceMatcher } from '../../queries/device-search.ts';
import type { RawRoute } from '../raw-route.ts';
import { listQuery, queryOf } from './device-routes.ts';

export interface ImportRouteDeps extends DeviceViewDeps {
  readonly clock: Clock;
  readonly config: Config;
  readonly registry: Registry;
  readonly roles: KnownRoles;
}

/** Of so many roles the answer is remembered. */
const rolesPerImportMax = 1000;
const jsonLines = 'application/x-ndjson';
const exportQuery = listQuery
  .omit({ sort: true, total: true, limit: true, after: true })
  .extend({ format: z.enum(['jsonl', 'csv']).default('jsonl') });

export function importRoutes({
  ca,
  clock,
  config,
  presence,
  registry,
  roles,
}: ImportRouteDeps): RawRoute[] {
  return [
    {
      method: 'POST',
      path: '/v1/devices/import',
      access: 'operator',
      accepts: { mediaTypes: ['text/csv', jsonLines], as: 'buffer' },
      bodyMaxBytes: config.limits.enroll.importMaxBytes,
      async handle({ body, mediaType, actor }) {
        if (!Buffer.isBuffer(body)) throw new FlotillaError('media-type-unsupported');
        const text = utf8Text(body, 'the file');
        const rows = mediaType === 'text/csv' ? csvRows(text) : jsonRows(text);
        const roleFault = rememberedFault(roles);
        const imported = await importRows(rows, actor, { registry, config, clock, roleFault });
        return { type: 'application/json', body: JSON.stringify(imported) };
      },
    },
    {
      method: 'GET',
      path: '/v1/devices/export',
      access: 'viewer',
      // An identity may have the name of this path: it is shown to clients that ask for one document.
      handle: async ({ headers, query }) => {
        if (headers.accept === 'application/json') {
          const row = await registry.get('devices', 'export');
          if (row === undefined) throw new FlotillaError('device-not-found', { detail: 'export' });
          const body = JSON.stringify(deviceJson(row, { ca, presence }, clock.now()));
          return { type: 'application/json', body };
        }
        const parsed = exportQuery.safeParse(query);
        if (!parsed.success) {
          throw new FlotillaError('request-invalid', { detail: 'query: format=csv and filters' });
        }
        const { format, search, online, ...conditions } = parsed.data;
        const matches = deviceMatcher(
          {
            ...queryOf(conditions, clock.now(), 1),
            ...(search === undefined ? {} : { search }),
            ...(online === undefined ? {} : { online }),
          },
          presence,
        );
        const isCsv = format === 'csv';
        return {
          type: isCsv ? 'text/csv; charset=utf-8' : jsonLines,
          body: Readable.from(
            (async function* () {
              if (isCsv) yield csvHead;
              for await (const row of registry.rows('devices')) {
                if (!matches(row)) continue;
                const device = deviceJson(row, { ca, presence }, clock.now());
                yield isCsv ? csvRow(device) : `${JSON.stringify(device)}\n`;
              }
            })(),
          ),
        };
      },
    },
  ];
}

/** Asks for each role once: an import has few roles and many rows. */
function rememberedFault(roles: KnownRoles): (role: string) => Promise<string | undefined> {
  const known = new Map<string, Promise<string | undefined>>();
  return (role) => {
    const fault = known.get(role) ?? roles.unknown(new Set([role]));
    if (known.size < rolesPerImportMax) known.set(role, fault);
    return fault;
  };
}
