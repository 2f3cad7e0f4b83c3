/**
 * The enrollment service: opens what it keeps, listens, gives everything back.
 *
 * @module
 */
import { systemClock } from '../core/clock.ts';
import type { Config } from '../core/config.ts';
import { statusSchema } from '../core/enrollment-api.ts';
import { Lifecycle, type Close } from '../core/lifecycle.ts';
import type { StateFolder } from '../core/state-folder.ts';
import { Devices } from './devices.ts';
import { Approvals } from './enrollment/approvals.ts';
import { Enrollment } from './enrollment/enrollment.ts';
import { Factories } from './enrollment/factories.ts';
import { Issuing } from './enrollment/issuing.ts';
import { Renewal } from './enrollment/renewal.ts';
import { Tokens } from './enrollment/tokens.ts';
import { openHook } from './enrollment/veto-hook.ts';
import { Feed } from './feed/feed.ts';
import { Housekeeping } from './housekeeping.ts';
import { deviceRoutes } from './http/routes/device-routes.ts';
import { enrollmentRoutes } from './http/routes/enrollment-routes.ts';
import { feedRoutes, serveFeed } from './http/routes/feed-routes.ts';
import { requestRoutes } from './http/routes/request-routes.ts';
import { tokenRoutes } from './http/routes/token-routes.ts';
import { route } from './http/route.ts';
import { HttpServer } from './http/server.ts';
import { Presence } from './presence.ts';
import { Revocations } from './revocations.ts';
import { ensureServerIdentity, openState, type StateDeps } from './state.ts';
import { statusOfService } from './status.ts';

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
  const { state, clock = systemClock, log } = deps;
  const lifecycle = new Lifecycle();
  return lifecycle.guard(async () => {
    const { registry, audit, ca } = await openState(state, config, deps, lifecycle);
    const identity = await ensureServerIdentity(state, config, ca, clock);
    const hook = await openHook(config, clock, log);
    const factories = new Factories(clock);
    await factories.load(registry);

    const tokens = new Tokens(registry, config, clock);
    const issuing = new Issuing({ registry, ca, config, clock });
    const shared = { registry, audit, ca, config, clock, issuing };
    const enrollment = new Enrollment({ ...shared, tokens, hook });
    const renewal = new Renewal(shared);
    const devices = new Devices(registry, clock);
    const presence = new Presence(registry, config);
    const feed = new Feed({
      registry,
      ca,
      clock,
      log,
      graceMs: config.enroll.renewGrace,
      changesKeptMax: config.limits.enroll.feedChangesKeptMax,
      lagMaxBytes: config.limits.enroll.feedLagMaxBytes,
    });
    const revocations = new Revocations({
      devices,
      feed,
      audit,
      clock,
      renewCrl: () => Promise.resolve(undefined),
    });
    const feedDeps = { audit, devices, feed, presence, log };
    let url = config.enroll.url ?? '';
    const http = new HttpServer({
      config,
      clock,
      log,
      registry,
      tls: { key: identity.key, cert: identity.chain, ca: [...ca.pems, ...factories.pems] },
      routes: [
        ...enrollmentRoutes({ ca, enrollment, renewal, factories }),
        ...tokenRoutes({ ...shared, tokens, url: () => url }),
        ...deviceRoutes({ clock, config, devices, presence, registry, revocations }),
        ...requestRoutes(new Approvals(registry, clock)),
        ...feedRoutes(feedDeps),
        route({
          method: 'GET',
          path: '/v1/status',
          summary: 'What is well and what is not',
          access: 'admin',
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
      ],
      more: (server) => serveFeed(server, feedDeps),
    });
    const housekeeping = new Housekeeping(registry, clock, log);
    housekeeping.start();
    lifecycle.add('housekeeping', () => housekeeping.stop());
    lifecycle.add('HTTPS', () => http.close());
    lifecycle.add('feed', () => feed.close());
    const { host, port } = await http.listen();
    url = config.enroll.url ?? urlOf(host, port);
    await audit.append({
      action: 'service-started',
      actor: 'system',
      detail: { url, fingerprint: ca.fingerprint },
    });
    log.info({ url, fingerprint: ca.fingerprint }, 'enrollment service listens');
    return {
      addresses: { https: { host, port, url: urlOf(host, port) } },
      ca: { file: state.ca.rootCert, fingerprint: ca.fingerprint },
      close: lifecycle.close,
    };
  });
}

/** An address that means all of them is reached by the loopback one. */
function urlOf(host: string, port: number): string {
  const reached = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  return `https://${reached.includes(':') ? `[${reached}]` : reached}:${port}`;
}
