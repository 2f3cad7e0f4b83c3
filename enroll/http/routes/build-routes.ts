/**
 * All calls of the service, as values.
 *
 * @module
 */
import type { Clock } from '../../../core/clock.ts';
import type { Config } from '../../../core/config/config.ts';
import type { DeviceId } from '../../../core/device-id.ts';
import type { Logger } from '../../../core/log.ts';
import type { BrokerSampleReport } from '../../../core/protocol/broker-sample.ts';
import { statusSchema, type Status } from '../../../core/protocol/enrollment-api.ts';
import type { StateFolder } from '../../../core/state-folder.ts';
import type { AuditTrail } from '../../audit/audit-trail.ts';
import type { BoundedRefusals } from '../../audit/bounded-refusals.ts';
import type { RefusalAuditWriter } from '../../audit/refusal-audit-writer.ts';
import type { CertificateAuthority } from '../../ca/certificate-authority.ts';
import type { BrokerIncidents } from '../../devices/broker-incidents.ts';
import type { DeviceActions } from '../../devices/device-actions.ts';
import type { DeviceAdmin } from '../../devices/devices.ts';
import type { PresenceTable } from '../../devices/presence-table.ts';
import type { RenewalAdviser } from '../../enrollment/renewal-advice.ts';
import { Approvals } from '../../enrollment/approvals.ts';
import type { CertificateIssuer } from '../../enrollment/certificate-issuer.ts';
import type { Enrollment } from '../../enrollment/enrollment.ts';
import type { Factories } from '../../enrollment/factories.ts';
import type { Renewal } from '../../enrollment/renewal.ts';
import type { Tokens } from '../../enrollment/tokens.ts';
import type { AheadBrokers } from '../../feed/ahead-brokers.ts';
import type { BrokerQueries } from '../../feed/broker-queries.ts';
import type { Feed } from '../../feed/directory-feed.ts';
import type { LockoutGuard } from '../../operators/lockout-guard.ts';
import type { DeviceTable } from '../../queries/device-table.ts';
import type { KnownRoles } from '../../policy/known-roles.ts';
import { Reconciler } from '../../reconcile/reconciler.ts';
import type { Lineage } from '../../registry/lineage.ts';
import type { Registry } from '../../registry/registry.ts';
import type { OcspService } from '../../revocation/ocsp-responder.ts';
import type { RevocationList } from '../../revocation/revocation-list.ts';
import type { CaChanges } from '../../bootstrap/components.ts';
import { openApi } from '../openapi.ts';
import type { RawRoute } from '../raw-route.ts';
import { route, type HttpRoute } from '../route.ts';
import { bulkRoutes } from './bulk-routes.ts';
import { cmpRoutes } from './cmp-routes.ts';
import { deviceRoutes } from './device-routes.ts';
import { enrollmentRoutes } from './enrollment-routes.ts';
import { estRoutes } from './est-routes.ts';
import { factoryRoutes } from './factory-routes.ts';
import { feedRoutes, feedStreamRoute } from './feed-routes.ts';
import { identityRoutes } from './identity-routes.ts';
import { importRoutes } from './import-routes.ts';
import { issuerRoutes } from './issuer-routes.ts';
import { reconcileRoutes } from './reconcile-routes.ts';
import { requestRoutes } from './request-routes.ts';
import { revocationRoutes } from './revocation-routes.ts';
import { serviceRoute } from './service-routes.ts';
import { rootRoutes } from './root-routes.ts';
import { tokenRoutes } from './token-routes.ts';

export interface RouteDeps {
  readonly adviser: RenewalAdviser;
  readonly ahead: AheadBrokers;
  readonly audit: AuditTrail;
  /** The folder of the audit log. */
  readonly auditFolder: string;
  readonly ca: CertificateAuthority;
  readonly clock: Clock;
  readonly config: Config;
  readonly devices: DeviceAdmin;
  readonly enrollment: Enrollment;
  readonly factories: Factories;
  readonly feed: Feed;
  readonly issuing: CertificateIssuer;
  readonly lineage: Lineage;
  readonly lists: RevocationList;
  readonly lockout: LockoutGuard;
  readonly log: Logger;
  readonly ocsp: OcspService;
  readonly presence: PresenceTable;
  readonly incidents: BrokerIncidents;
  readonly refusals: RefusalAuditWriter;
  /** Audit lines about refused requests. */
  readonly refused: BoundedRefusals;
  readonly registry: Registry;
  readonly renewal: Renewal;
  readonly revocations: DeviceActions;
  readonly roles: KnownRoles;
  readonly changes: CaChanges;
  readonly state: StateFolder;
  readonly table: DeviceTable;
  readonly tokens: Tokens;
  readonly queries: BrokerQueries;
  /** Takes the numbers that a broker reports of itself. */
  readonly sampled: (broker: DeviceId, report: BrokerSampleReport) => void;
  /** Where devices reach the service. */
  readonly url: () => string;
  readonly status: () => Promise<Status>;
  /** Shows the factory CAs to clients in the TLS handshake. */
  readonly factoriesChanged: () => void;
}

export interface Routes {
  readonly routes: readonly HttpRoute[];
  readonly rawRoutes: readonly RawRoute[];
}

/** Of the API, not of the package. */
const apiVersion = '1';

/** @param operatorApi calls for the console and other tools of operators, which are created elsewhere */
export function buildRoutes(deps: RouteDeps, operatorApi: Routes): Routes {
  const routes: HttpRoute[] = [
    ...identityRoutes(deps),
    ...enrollmentRoutes(deps),
    ...tokenRoutes(deps),
    serviceRoute(deps),
    ...deviceRoutes(deps),
    ...bulkRoutes(deps),
    ...requestRoutes(new Approvals(deps), deps.roles),
    ...rootRoutes(deps),
    ...issuerRoutes(deps),
    ...factoryRoutes(deps),
    ...reconcileRoutes(new Reconciler({ ...deps, renewCrl: () => deps.lists.renew() })),
    ...feedRoutes(deps),
    ...operatorApi.routes,
    route({
      method: 'GET',
      path: '/v1/status',
      summary: 'Service health checks',
      access: 'viewer',
      response: statusSchema,
      handle: deps.status,
    }),
  ];
  const description = JSON.stringify(openApi(routes, apiVersion));
  return {
    routes,
    rawRoutes: [
      feedStreamRoute(deps),
      ...operatorApi.rawRoutes,
      ...importRoutes(deps),
      ...revocationRoutes(deps),
      ...estRoutes(deps),
      ...cmpRoutes(deps),
      {
        method: 'GET',
        path: '/v1/openapi.json',
        access: 'anyone',
        handle: () => {
          const servers = JSON.stringify([{ url: deps.url() }]);
          const body = `{"servers":${servers},${description.slice(1)}`;
          return Promise.resolve({ type: 'application/json', body });
        },
      },
    ],
  };
}
