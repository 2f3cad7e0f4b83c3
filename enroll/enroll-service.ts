/**
 * The enrollment service: opens what it keeps, listens, gives everything back.
 *
 * @module
 */
import { systemClock, type Cancel } from '../core/clock.ts';
import type { Config } from '../core/config/config.ts';
import { httpsUrl, publicEnrollUrl, publicHost } from '../core/config/public-address.ts';
import { statusSchema } from '../core/protocol/enrollment-api.ts';
import { Lifecycle, type Close } from '../core/lifecycle.ts';
import type { StateFolder } from '../core/state-folder.ts';
import { RefusalAuditWriter } from './audit/refusal-audit-writer.ts';
import { DeviceAdmin } from './devices/devices.ts';
import { Approvals } from './enrollment/approvals.ts';
import { Enrollment } from './enrollment/enrollment.ts';
import { Factories } from './enrollment/factories.ts';
import { CertificateIssuer } from './enrollment/certificate-issuer.ts';
import { Renewal } from './enrollment/renewal.ts';
import { Tokens } from './enrollment/tokens.ts';
import { openHook } from './enrollment/veto-hook.ts';
import { OperatorAuthentication } from './operators/operator-authentication.ts';
import { openOperatorApi } from './operator-api.ts';
import { Feed } from './feed/feed.ts';
import { Housekeeping } from './registry/housekeeping.ts';
import { deviceRoutes } from './http/routes/device-routes.ts';
import { enrollmentRoutes } from './http/routes/enrollment-routes.ts';
import { feedRoutes, serveFeed } from './http/routes/feed-routes.ts';
import { requestRoutes } from './http/routes/request-routes.ts';
import { tokenRoutes } from './http/routes/token-routes.ts';
import { route, type HttpRoute } from './http/route.ts';
import { HttpServer, type ServerCertificate } from './http/server.ts';
import { serveEst } from './http/routes/est-routes.ts';
import { openApi } from './http/openapi.ts';
import { serveImport } from './http/routes/import-routes.ts';
import { serveRevocation } from './http/routes/revocation-routes.ts';
import { caRoutes } from './http/routes/ca-routes.ts';
import { authorityUrls } from './ca/authority-urls.ts';
import { IssuerRollover } from './rollover/issuer-rollover.ts';
import { readPassphrase } from './ca/passphrase.ts';
import { OcspService } from './revocation/ocsp-responder.ts';
import { RevocationList } from './revocation/revocation-list.ts';
import { PresenceTable } from './devices/presence-table.ts';
import { DeviceActions } from './devices/device-actions.ts';
import { ensureOwnIdentities, ensureServerIdentity } from './bootstrap/own-identities.ts';
import { openState, type StateDeps } from './bootstrap/state.ts';
import { statusOfService } from './service-status.ts';

const refreshPeriodMs = 3_600_000;
/** Of the API, not of the package. */
const apiVersion = '1';

export interface EnrollDeps extends StateDeps {
  readonly state: StateFolder;
}

export interface EnrollService {
  readonly addresses: {
    readonly https: { readonly host: string; readonly port: number; readonly url: string };
  };
  /** The root certificate's file, and the fingerprint that devices pin. */
  readonly ca: { readonly file: string; readonly fingerprint: string };
  readonly close: Close;
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
    const { registry, audit, ca } = await openState(state, config, deps, lifecycle);
    const hook = await openHook(config, clock, log);
    const factories = new Factories(clock);
    await factories.load(registry);

    const tokens = new Tokens(registry, config, clock);
    const issuing = new CertificateIssuer({ registry, ca, config, clock });
    const shared = { registry, audit, ca, config, clock, issuing };
    const enrollment = new Enrollment({ ...shared, tokens, hook });
    const renewal = new Renewal(shared);
    const devices = new DeviceAdmin(registry, clock);
    const presence = new PresenceTable(registry, config);
    const feed = new Feed({
      registry,
      ca,
      clock,
      log,
      graceMs: config.enroll.renewGrace,
      changesKeptMax: config.limits.enroll.feedChangesKeptMax,
      lagMaxBytes: config.limits.enroll.feedLagMaxBytes,
    });
    const lists = new RevocationList({
      registry,
      ca,
      clock,
      log,
      validityMs: config.enroll.crlValidity,
    });
    const ocsp = new OcspService({
      registry,
      ca,
      clock,
      validityMs: config.enroll.ocspValidity,
      signaturesPerSecond: config.limits.enroll.signaturesPerSecond,
    });
    const rollover = new IssuerRollover({
      state,
      ca,
      audit,
      clock,
      feed,
      registry,
      caDeps: { clock, urls: authorityUrls(config) },
      graceMs: config.enroll.renewGrace,
      passphrase: () => readPassphrase(state, env),
    });
    const revocations = new DeviceActions({
      devices,
      feed,
      audit,
      clock,
      renewCrl: () => lists.renew(),
    });
    const refusals = new RefusalAuditWriter({
      audit,
      clock,
      log,
      linesPerMinute: config.limits.enroll.refusalLinesPerBrokerPerMinute,
    });
    const operatorApi = await openOperatorApi(
      { audit, auditFolder: state.enroll.audit, clock, config, feed, presence, registry },
      lifecycle,
    );
    const { samples, table } = operatorApi;
    const feedDeps = {
      audit,
      devices,
      feed,
      presence,
      refusals,
      log,
      sampled: samples.take.bind(samples),
    };
    let url = config.enroll.url ?? '';
    let identity = await ensureServerIdentity({ state, config, ca, clock });
    const tls = (): ServerCertificate => ({
      key: identity.key,
      cert: identity.chain,
      ca: [...ca.pems, ...factories.pems],
    });
    const routes: HttpRoute[] = [
      ...enrollmentRoutes({ ca, enrollment, renewal, factories }),
      ...tokenRoutes({ ...shared, tokens, url: () => url }),
      ...deviceRoutes({ clock, config, devices, presence, registry, revocations, table }),
      ...requestRoutes(new Approvals(registry, clock)),
      ...caRoutes({
        ca,
        clock,
        factories,
        registry,
        rollover,
        factoriesChanged: () => http.replaceTls(tls()),
      }),
      ...feedRoutes(feedDeps),
      ...operatorApi.routes,
      route({
        method: 'GET',
        path: '/v1/status',
        summary: 'What is well and what is not',
        access: 'viewer',
        answer: statusSchema,
        handle: () =>
          statusOfService({
            audit,
            ca,
            clock,
            feed,
            registry,
            state,
            serverCertificate: () => identity.certificate,
          }),
      }),
    ];
    const description = JSON.stringify(openApi(routes, apiVersion));
    const http: HttpServer = new HttpServer({
      config,
      clock,
      log,
      registry,
      operators: new OperatorAuthentication(registry, clock),
      tls: tls(),
      routes,
      more(server) {
        serveFeed(server, feedDeps);
        operatorApi.serve(server);
        serveImport(server, { clock, config, presence, registry });
        serveRevocation(server, { ca, clock, lists, ocsp });
        serveEst(server, { ca, config, enrollment, factories, renewal });
        server.app.get('/v1/openapi.json', (request, reply) => {
          server.assertRate(request);
          return reply.type('application/json').send(description);
        });
      },
    });
    /** What the state folder holds itself is looked at each hour, and after each change of the CA. */
    const refresh = async (): Promise<void> => {
      await ensureOwnIdentities({ state, config, ca, clock, registry });
      identity = await ensureServerIdentity({ state, config, ca, clock });
      http.replaceTls(tls());
    };
    let refreshing: Promise<void> | undefined;
    let stale = false;
    const refreshed = (): void => {
      stale = refreshing !== undefined;
      refreshing ??= refresh()
        .catch((error: unknown) => {
          log.error({ err: error }, 'the certificates of the service could not be renewed');
        })
        .finally(() => {
          refreshing = undefined;
          if (stale) refreshed();
        });
    };
    ca.onChange(refreshed);
    let cancelRefresh: Cancel;
    const planRefresh = (): void => {
      cancelRefresh = clock.after(refreshPeriodMs, () => {
        refreshed();
        planRefresh();
      });
    };
    planRefresh();
    lifecycle.add('certificate refresh', async () => {
      cancelRefresh();
      await refreshing;
    });
    lifecycle.add('CRL', () => lists.close());
    const housekeeping = new Housekeeping(registry, clock, log);
    housekeeping.start();
    lifecycle.add('housekeeping', () => housekeeping.stop());
    lifecycle.add('refusals', () => refusals.close());
    lifecycle.add('HTTPS', () => http.close());
    lifecycle.add('feed', () => feed.close());
    lists.renew().catch(() => undefined);
    const { host, port } = await http.listen();
    url = publicEnrollUrl(config, host, port);
    await audit.append({
      action: 'service-started',
      actor: 'system',
      detail: { url, fingerprint: ca.fingerprint },
    });
    log.info({ url, fingerprint: ca.fingerprint }, 'enrollment service listens');
    return {
      addresses: { https: { host, port, url: httpsUrl(publicHost({ names: [] }, host), port) } },
      ca: { file: state.ca.rootCert, fingerprint: ca.fingerprint },
      close: lifecycle.close,
    };
  });
}
