/**
 * What a broker does while it waits for its turn: it follows the directory and the policy of the fleet, and renews its
 * certificate. Otherwise a broker that has waited for months would begin with a directory in which devices are active that
 * were revoked since, when it takes over while the enrollment service is away.
 *
 * @module
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { Clock } from '../core/clock.ts';
import type { Config } from '../core/config/config.ts';
import { Lifecycle } from '../core/lifecycle.ts';
import type { Logger } from '../core/log.ts';
import type { StateFolder } from '../core/state-folder.ts';
import { BrokerTlsMaterial } from './certificates/tls-material.ts';
import { Directory } from './feed/broker-directory.ts';
import { DirectoryFile } from './feed/directory-file.ts';
import { FeedClient, type FeedCredentials } from './feed/feed-client.ts';
import { FeedReporter } from './feed/feed-reporter.ts';
import { ReportSender } from './feed/report-sender.ts';
import { PolicySource } from './policy/policy-source.ts';
import { Reloader } from './reload/reloader.ts';
import { BrokerMetrics } from './telemetry/broker-metrics.ts';

/**
 * The machine that died may be that of the enrollment service as well: a takeover does not wait for its answers longer
 * than this, in ms.
 */
const stopMaxMs = 2000;

export interface StandbyDeps {
  readonly state: StateFolder;
  readonly enrollUrl: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Starts to follow. The broker that begins afterward reads the same files, so `stop` must be called before it starts.
 *
 * @returns a function that stops it
 * @throws FlotillaError `broker-identity-missing`, `broker-identity-invalid`, `policy-invalid`: this broker could not
 *   take over
 */
export async function startStandbyBroker(
  config: Config,
  { state, enrollUrl, clock, log }: StandbyDeps,
): Promise<() => Promise<void>> {
  const lifecycle = new Lifecycle();
  const { identity, rsaIdentity: rsa, directory: path, fleetPolicy } = state.broker;
  const hasRsa = config.tls.rsaServerCertificate;
  const material = await BrokerTlsMaterial.read(
    { identity, ...(hasRsa ? { rsa } : {}) },
    config.broker.tlsSessionTickets,
  );
  const policySource = new PolicySource(state.policy, fleetPolicy);
  await policySource.load();
  const file = new DirectoryFile(path);
  const directory = new Directory();
  const stored = await file.read();
  if (stored !== undefined) directory.restore(stored);
  const credentials = (): FeedCredentials => {
    const { ca, chain, key } = material.identity;
    return { ca, cert: chain, key };
  };
  const sender = new ReportSender(enrollUrl, credentials);
  const reporter = new FeedReporter({
    ...{ clock, log, run: randomUUID(), refusalsMax: config.limits.broker.refusalsKeptMax },
    send: (report) => sender.send(report),
  });
  lifecycle.add('reports of the standby', async () => {
    await reporter.stop();
    sender.close();
  });
  const trust = (pem: readonly string[]): void => {
    try {
      material.trust(pem);
    } catch (err) {
      log.error({ err }, 'could not use the CA certificates of the feed');
    }
  };
  const feed = new FeedClient({
    ...{ url: enrollUrl, credentials, directory, file, reporter, clock, log },
    random: Math.random,
    // It has no connections and no sessions.
    isStandby: true,
    asked: () => undefined,
    fleetPolicy: (text) => void policySource.fleetChanged(text, () => Promise.resolve()),
    changed(change) {
      if (change.kind === 'authorities') {
        trust(change.pem);
        reloader.authoritiesChanged();
      }
      return 0;
    },
  });
  const reloader = new Reloader({
    ...{ state, enrollUrl, clock, log, material, hasRsa, policySource },
    metrics: new BrokerMetrics(),
    failed: (what, err) => log.error({ what, err }, 'could not reload'),
    materialChanged: () => feed.reconnect(),
    policyChanged: () => Promise.resolve(),
  });
  trust(directory.authorities);
  reloader.start();
  lifecycle.add('reloader of the standby', () => reloader.stop());
  feed.start();
  lifecycle.add('feed of the standby', () => feed.stop());
  return async () => {
    const late = new AbortController();
    // After the call, nothing that is still under way changes the directory.
    await Promise.race([
      lifecycle.close(),
      pause(stopMaxMs, undefined, { signal: late.signal }).catch(() => undefined),
    ]);
    late.abort();
  };
}
