/**
 * Calls of administrators about the CAs of manufacturers.
 *
 * @module
 */
import { z } from 'zod';
import { readCertificate } from '../../../certs/certificate.ts';
import type { Clock } from '../../../core/clock.ts';
import {
  factoriesSchema,
  factoryRequestSchema,
  factorySchema,
} from '../../../core/protocol/enrollment-api.ts';
import { FlotillaError } from '../../../core/errors/flotilla-error.ts';
import type { CertificateAuthority } from '../../ca/certificate-authority.ts';
import { defaultDeviceIdRule } from '../../enrollment/device-id-rule.ts';
import { factoriesMax, factoryRecord, type Factories } from '../../enrollment/factories.ts';
import type { FactoryRecord } from '../../registry/records.ts';
import type { KnownRoles } from '../../policy/known-roles.ts';
import { retryOnConflict, type Registry } from '../../registry/registry.ts';
import { iso } from '../device-view.ts';
import { route, type HttpRoute } from '../route.ts';

export interface FactoryRouteDeps {
  readonly ca: CertificateAuthority;
  readonly clock: Clock;
  readonly factories: Factories;
  readonly registry: Registry;
  readonly roles: KnownRoles;
  /** Shows the factory CAs to clients in the TLS handshake. */
  readonly factoriesChanged: () => void;
}

const nameParams = z.strictObject({ name: z.string().min(1).max(64) });

export function factoryRoutes(deps: FactoryRouteDeps): HttpRoute[] {
  const { ca, clock, registry, roles } = deps;
  return [
    route({
      method: 'GET',
      path: '/v1/factories',
      summary: 'Lists the registered CAs of manufacturers',
      access: 'viewer',
      response: factoriesSchema,
      async handle() {
        const factories: z.infer<typeof factorySchema>[] = [];
        for await (const row of registry.rows('factories')) factories.push(factoryView(row));
        return { factories };
      },
    }),
    route({
      method: 'POST',
      path: '/v1/factories',
      summary: 'Registers or replaces the CA of a manufacturer',
      access: 'admin',
      status: 201,
      body: factoryRequestSchema,
      bodyMaxBytes: 16 * 1024 * 1024,
      response: factorySchema,
      async handle({ body, actor }) {
        await roles.assertKnown(body.role);
        const record = factoryRecord(body, clock.now());
        if (ca.issuer(record.fingerprint) !== undefined || ca.fingerprint === record.fingerprint) {
          throw new FlotillaError('factory-invalid', { detail: 'it is the CA of this service' });
        }
        await retryOnConflict(async () => {
          const before = await registry.get('factories', record.name);
          if (before === undefined && (await registry.count('factories')) >= factoriesMax) {
            throw new FlotillaError('factory-invalid', { detail: `at most ${factoriesMax}` });
          }
          await registry.commit({
            puts: [{ table: 'factories', record, expected: before?.version ?? 0 }],
            events: [
              {
                action: 'factory-added',
                actor,
                detail: {
                  name: record.name,
                  fingerprint: record.fingerprint,
                  ...(record.role === undefined ? {} : { role: record.role }),
                },
              },
            ],
          });
        });
        await reload(deps);
        return factoryView(record);
      },
    }),
    route({
      method: 'DELETE',
      path: '/v1/factories/:name',
      summary: 'Removes the CA of a manufacturer',
      access: 'admin',
      status: 204,
      params: nameParams,
      async handle({ params: { name }, actor }) {
        await retryOnConflict(async () => {
          const row = await registry.get('factories', name);
          if (row === undefined) throw new FlotillaError('factory-not-found', { detail: name });
          await registry.commit({
            deletions: [{ table: 'factories', key: name, expected: row.version }],
            events: [{ action: 'factory-removed', actor, detail: { name } }],
          });
        });
        await reload(deps);
        return undefined;
      },
    }),
  ];
}

async function reload({ factories, registry, factoriesChanged }: FactoryRouteDeps): Promise<void> {
  await factories.load(registry);
  factoriesChanged();
}

function factoryView(record: FactoryRecord): z.infer<typeof factorySchema> {
  const { name, fingerprint, group, profile, allowed, approval, certificate } = record;
  return {
    name,
    fingerprint,
    notAfter: iso(readCertificate(certificate).notAfterMs),
    group,
    role: record.role ?? null,
    profile,
    allowed: allowed?.length ?? null,
    approval,
    takesOver: record.takesOver ?? false,
    deviceId: record.deviceId ?? defaultDeviceIdRule,
  };
}
