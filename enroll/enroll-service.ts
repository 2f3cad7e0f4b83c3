/**
 * The enrollment service: opens the state folder, listens, and closes everything again.
 *
 * @module
 */
import type { CertificateFacts } from '../certs/certificate.ts';
import { watchClockJumps } from '../core/clock-jump.ts';
import { systemClock } from '../core/clock.ts';
import type { Config } from '../core/config/config.ts';
import { httpsUrl, publicEnrollUrl, publicHost } from '../core/config/public-address.ts';
import { Lifecycle, type Close } from '../core/lifecycle.ts';
import type { Logger } from '../core/log.ts';
import type { Status } from '../core/protocol/enrollment-api.ts';
import type { StateFolder } from '../core/state-folder.ts';
import type { CertificateAuthority } from './ca/certificate-authority.ts';
import { CertificateRefresh } from './bootstrap/certificate-refresh.ts';
import { createDistribution, createIssuance } from './bootstrap/components.ts';
import { completeState, openState, type StateDeps } from './bootstrap/state.ts';
import { needsDeviceServers } from './enrollment/profiles.ts';
import { buildRoutes } from './http/routes/build-routes.ts';
import { HttpServer } from './http/server.ts';
import type { ServerCertificate } from './http/tls-server.ts';
import { openOperatorApi } from './operator-services.ts';
import { OperatorAuthentication } from './operators/operator-authentication.ts';
import { registeredBrokers } from './feed/absent-brokers.ts';
import { Housekeeping } from './registry/housekeeping.ts';
import type { IssuerRollover } from './rollover/issuer-rollover.ts';
import { statusOfService } from './service-status.ts';
import type { SimulationRunner } from './simulations/simulation-runner.ts';
import { EnrollmentTelemetry } from './telemetry/enrollment-telemetry.ts';

export interface EnrollDeps extends StateDeps {
  readonly state: StateFolder;
  /** Starts simulations from the console; without it the console says how to run them. */
  readonly simulationRunner?: SimulationRunner;
}

export interface EnrollService {
  readonly addresses: {
    readonly https: { readonly host: string; readonly port: number; readonly url: string };
    readonly metrics: { readonly url: string };
  };
  /** The root certificate's file, and the fingerprint that devices pin. */
  readonly ca: { readonly file: string; readonly fingerprint: string };
  readonly close: Close;
  /**
   * Reads the service's certificates and the factory CAs again, and issues its certificate again when `names` of the
   * configuration has changed. Connections stay open.
   */
  reload(): Promise<void>;
}

/**
 * Starts the service on a state folder that {@link initialiseState} has made.
 *
 * @throws FlotillaError `ca-missing`, `ca-passphrase-…`, `registry-locked`, `registry-damaged`,
 *   `address-in-use`, `config-unreadable`
 */
export async function startEnroll(config: Config, deps: EnrollDeps): Promise<EnrollService> {
  const { state, clock = systemClock, log, env = process.env } = deps;
  const lifecycle = new Lifecycle();
  return lifecycle.guard(async () => {
    const opened = await openState(state, config, deps, lifecycle);
    if (deps.isStarting === true) await completeState(state, config, deps, opened);
    const { registry, audit, ca } = opened;
    const open = { ...opened, config, clock, log };
    const issuance = await createIssuance({ ...open, state, env });
    const distribution = createDistribution({ ...open, state, env });
    const { ahead, feed, lists, presence, refusals } = distribution;
    for (const broker of await registeredBrokers(registry, state, clock.now())) {
      feed.absent.add(broker);
    }
    let url = config.enroll.url ?? '';
    const operatorApi = await openOperatorApi(
      {
        ...open,
        auditFolder: state.enroll.audit,
        feed,
        presence,
        refused: issuance.refused,
        simulationFolder: state.simulations,
        simulationRunner: deps.simulationRunner,
        url: () => url,
      },
      lifecycle,
    );
    const { lockout, queries, roles, samples, table } = operatorApi;
    const certificates = await CertificateRefresh.open({ ...open, state });
    const tls = (): ServerCertificate => ({
      pairs: certificates.servers,
      ca: [...trustedPems(ca, config), ...issuance.factories.pems],
    });
    const serverCertificate = (): CertificateFacts => certificates.firstToEnd;
    const status = (): Promise<Status> =>
      statusOfService({
        ...open,
        feed,
        state,
        serverCertificate,
        fleet: operatorApi.fleet,
        brokerReports: samples,
        ahead,
      });
    const telemetry = new EnrollmentTelemetry({ ...open, feed, serverCertificate, status });
    const metrics = await telemetry.open(lifecycle);
    const routes = buildRoutes(
      {
        ...open,
        ...issuance,
        ...distribution,
        lockout,
        state,
        auditFolder: state.enroll.audit,
        table,
        queries,
        roles,
        sampled: samples.take.bind(samples),
        url: () => url,
        status,
        factoriesChanged: () => http.replaceTls(tls()),
      },
      operatorApi,
    );
    const http: HttpServer = new HttpServer({
      ...open,
      operators: new OperatorAuthentication(open),
      responded: (code) => telemetry.metrics.responded(code),
      tls: tls(),
      ...routes,
    });
    certificates.start(() => http.replaceTls(tls()));
    lifecycle.add('certificate refresh', () => certificates.close());
    lifecycle.add('CRL', () => lists.close());
    const unwatchClock = watchClockJumps(clock, (jumpMs) => {
      log.warn({ jumpMs }, 'the clock was set: certificates and CRLs are checked');
      void certificates.check();
      // The list logs its failures.
      lists.renewAll().catch(() => undefined);
    });
    lifecycle.add('clock', unwatchClock);
    const housekeeping = new Housekeeping({
      ...open,
      // The scheduled lists are half of this apart.
      revocationKeepMs: config.enroll.crlValidity,
      certificateKeepMs:
        config.enroll.renewGrace + config.enroll.crlValidity + config.enroll.endedCertificateKeep,
    });
    housekeeping.start();
    lifecycle.add('housekeeping', () => housekeeping.stop());
    lifecycle.add('refusals', () => refusals.close());
    lifecycle.add('incidents', () => distribution.incidents.close());
    lifecycle.add('refused requests', () => issuance.refused.close());
    lifecycle.add('HTTPS', () => http.close());
    lifecycle.add('feed', () => feed.close());
    lists.renew().catch(() => undefined);
    const { host, port } = await http.listen();
    url = publicEnrollUrl(config, host, port);
    telemetry.listening();
    await audit.append({
      action: 'service-started',
      actor: 'system',
      detail: { url, fingerprint: ca.fingerprint },
    });
    log.info({ url, fingerprint: ca.fingerprint }, 'enrollment service is listening');
    return {
      addresses: {
        https: { host, port, url: httpsUrl(publicHost({ names: [] }, host), port) },
        metrics,
      },
      ca: { file: state.ca.rootCert, fingerprint: ca.fingerprint },
      close: lifecycle.close,
      async reload() {
        url = publicEnrollUrl(config, host, port);
        await issuance.factories.load(registry);
        await certificates.check();
        await ensureDeviceServers(config, ca, distribution.changes.issuers, log);
        log.info('reloaded');
      },
    };
  });
}

/** Profiles can be changed without a restart. */
async function ensureDeviceServers(
  config: Config,
  { inventory }: CertificateAuthority,
  issuers: IssuerRollover,
  log: Logger,
): Promise<void> {
  if (inventory.deviceServers !== undefined || !needsDeviceServers(config)) return;
  await issuers.introduce('system', 'device-servers').catch((error: unknown) => {
    log.warn({ err: error }, 'the issuer of devices that are servers could not be created');
  });
}

/** A device may send no chain: then the withdrawn issuer is needed for its renewal, if that is allowed. */
function trustedPems(ca: CertificateAuthority, { enroll }: Config): readonly string[] {
  const withdrawn = enroll.renewWithdrawn ? ca.inventory.withdrawn : [];
  return [...ca.pems, ...withdrawn.map(({ pem }) => pem)];
}
