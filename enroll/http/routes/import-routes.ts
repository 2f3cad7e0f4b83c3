/**
 * Import and export of the registry over HTTP.
 *
 * @module
 */
import { Readable } from 'node:stream';
import type { Clock } from '../../../core/clock.ts';
import type { Config } from '../../../core/config/config.ts';
import { FlotillaError } from '../../../core/errors/flotilla-error.ts';
import type { PresenceTable } from '../../devices/presence-table.ts';
import type { Registry } from '../../registry/registry.ts';
import { importRows } from '../../bulk-import/importer.ts';
import { csvRows, jsonRows } from '../../bulk-import/import-rows.ts';
import { deviceJson } from '../device-view.ts';
import type { HttpServer } from '../server.ts';

export interface ImportRouteDeps {
  readonly clock: Clock;
  readonly config: Config;
  readonly presence: PresenceTable;
  readonly registry: Registry;
}

const jsonLines = 'application/x-ndjson';

export function serveImport(http: HttpServer, deps: ImportRouteDeps): void {
  const { clock, config, presence, registry } = deps;
  http.app.addContentTypeParser(
    ['text/csv', jsonLines],
    { parseAs: 'string' },
    (_request, body, done: (error: Error | null, value?: unknown) => void) => done(null, body),
  );
  const actors = new WeakMap<object, string>();
  http.app.route({
    method: 'POST',
    url: '/v1/devices/import',
    bodyLimit: config.limits.enroll.importMaxBytes,
    onRequest: async (request) => {
      const { actor } = await http.admit(request, 'operator', 'devices');
      actors.set(request, actor);
    },
    handler: async (request, reply) => {
      const type = request.headers['content-type']?.split(';')[0];
      if (typeof request.body !== 'string') throw new FlotillaError('media-type-unsupported');
      const rows = type === 'text/csv' ? csvRows(request.body) : jsonRows(request.body);
      const actor = actors.get(request) ?? '';
      const imported = await importRows(rows, actor, { registry, config, clock });
      return reply.type('application/json').send(JSON.stringify(imported));
    },
  });
  http.app.route({
    method: 'GET',
    url: '/v1/devices/export',
    onRequest: async (request) => {
      await http.admit(request, 'viewer', 'devices');
    },
    handler: (_request, reply) =>
      reply.type(jsonLines).send(
        Readable.from(
          (async function* () {
            for await (const row of registry.rows('devices')) {
              yield `${JSON.stringify(deviceJson(row, presence, clock.now()))}\n`;
            }
          })(),
        ),
      ),
  });
}
