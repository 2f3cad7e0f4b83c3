/**
 * The operators' part of the service: what the console and other tools read and change, and the events that
 * they follow.
 *
 * @module
 */
import type { Cancel, Clock } from '../core/clock.ts';
import type { Config } from '../core/config/config.ts';
import type { Lifecycle } from '../core/lifecycle.ts';
import type { Logger } from '../core/log.ts';
import { PolicyReader } from '../core/policy/policy-reader.ts';
import { samplePeriodMs } from '../core/protocol/broker-sample.ts';
import type { AuditTrail } from './audit/audit-trail.ts';
import type { BoundedRefusals } from './audit/bounded-refusals.ts';
import { queryAudit } from './audit/audit-query.ts';
import { PresenceHistory } from './devices/presence-history.ts';
import type { PresenceTable } from './devices/presence-table.ts';
import { EventHub } from './events/event-hub.ts';
import { PresenceEvents } from './events/event-sources.ts';
import { BrokerQueries } from './feed/broker-queries.ts';
import type { Feed } from './feed/directory-feed.ts';
import type { RawRoute } from './http/raw-route.ts';
import type { HttpRoute } from './http/route.ts';
import { auditLineJson, auditRoutes } from './http/routes/audit-routes.ts';
import { brokerRoutes } from './http/routes/broker-routes.ts';
import { commandRoutes } from './http/routes/command-routes.ts';
import { eventsRoute, metricsRoutes } from './http/routes/event-routes.ts';
import { consoleRoutes } from './http/routes/console-routes.ts';
import { tailRoute } from './http/routes/tail-routes.ts';
import { operatorRoutes } from './http/routes/operator-routes.ts';
import { signInRoutes } from './http/routes/sign-in-routes.ts';
import { simulationFileRoutes, simulationRoutes } from './http/routes/simulation-routes.ts';
import { policyRoutes } from './http/routes/policy-routes.ts';
import { fleetRoutes } from './http/routes/fleet-routes.ts';
import { tokenListRoutes } from './http/routes/token-list-routes.ts';
import { KnownRoles } from './policy/known-roles.ts';
import { FleetPolicy } from './policy/fleet-policy.ts';
import { openProvider } from './operators/open-provider.ts';
import { LockoutGuard } from './operators/lockout-guard.ts';
import { OperatorDirectory } from './operators/operator-directory.ts';
import { SignIn } from './operators/sign-in.ts';
import { BrokerSamples } from './metrics/broker-samples.ts';
import { listBrokers } from './queries/broker-list.ts';
import { DeviceTable } from './queries/device-table.ts';
import { FleetStatistics, type FleetCounts } from './queries/fleet-statistics.ts';
import type { Registry } from './registry/registry.ts';
import type { SimulationRunner } from './simulations/simulation-runner.ts';
import { Simulations } from './simulations/simulations.ts';

/** How many lines of the audit log a start reads for the numbers of the last hour. */
const statisticsLinesMax = 50_000;
const hourMs = 3_600_000;

export interface OperatorApiDeps {
  readonly audit: AuditTrail;
  /** The folder of the audit log. */
  readonly auditFolder: string;
  readonly clock: Clock;
  readonly config: Config;
  readonly feed: Feed;
  readonly log: Logger;
  readonly presence: PresenceTable;
  /** Audit lines about refused requests. */
  readonly refused: BoundedRefusals;
  readonly registry: Registry;
  /** Where the reports of simulations are kept. */
  readonly simulationFolder: string;
  readonly simulationRunner: SimulationRunner | undefined;
  /** Where browsers reach the service. */
  readonly url: () => string;
}

export interface OperatorApi {
  readonly lockout: LockoutGuard;
  readonly table: DeviceTable;
  readonly samples: BrokerSamples;
  readonly fleet: () => Promise<FleetCounts>;
  readonly queries: BrokerQueries;
  /** The roles that the policy has. */
  readonly roles: KnownRoles;
  readonly routes: readonly HttpRoute[];
  /** The calls whose response is not one JSON document. */
  readonly rawRoutes: readonly RawRoute[];
}

/** Opens it; the lifecycle closes it. */
export async function openOperatorApi(
  deps: OperatorApiDeps,
  lifecycle: Lifecycle,
): Promise<OperatorApi> {
  const { audit, auditFolder, clock, config, feed, presence, refused, registry } = deps;
  const table = await DeviceTable.open(registry);
  const history = new PresenceHistory();
  const statistics = new FleetStatistics({ clock, table, presence, registry });
  const samples = new BrokerSamples(clock);
  const hub = new EventHub();
  const queries = new BrokerQueries(feed, clock);
  const reader = new PolicyReader();
  const policy = await FleetPolicy.open({ registry, clock, feed, reader });
  const presenceEvents = new PresenceEvents(hub, clock, () => presence.connectedCount);
  const recent = await queryAudit(auditFolder, {
    limit: statisticsLinesMax,
    sinceMs: clock.now() - hourMs,
  });
  for (const line of recent.lines) statistics.record(line);
  audit.watch((line) => {
    statistics.record(line);
    hub.publish('audit', auditLineJson(line), line.device);
  });
  presence.watch((broker, report) => {
    history.add(broker, report);
    presenceEvents.add(broker, report);
  });
  feed.watchLinks(() => hub.publish('brokers', { brokers: listBrokers(feed, samples) }));
  let cancel: Cancel;
  const publishMetrics = (): void => {
    cancel = clock.after(samplePeriodMs, () => {
      // The step before this one: all brokers have reported for it.
      const [point] = samples.history((2 * samplePeriodMs) / 1000);
      if (point !== undefined) hub.publish('metrics', point);
      publishMetrics();
    });
  };
  publishMetrics();
  const limits = config.limits.enroll;
  const simulations = await Simulations.open({
    audit,
    clock,
    folder: deps.simulationFolder,
    limits,
    log: deps.log,
    runner: deps.simulationRunner,
    publish: (event) => hub.publish('simulation', event),
  });
  lifecycle.add('operator API', async () => {
    cancel();
    await simulations.close();
    queries.close();
    policy.close();
    presenceEvents.close();
    table.close();
  });
  const eventDeps = { clock, hub, samples, limits };
  const lockout = new LockoutGuard(registry, clock);
  const signInDeps = {
    lockout,
    refused,
    clock,
    operators: new OperatorDirectory(registry, clock),
    provider: await openProvider(config, () => `${deps.url()}/v1/sign-in/oidc/callback`),
    signIn: new SignIn(registry, clock, config.enroll.operators),
    url: deps.url,
  };
  const brokerDeps = { audit, feed, presence, queries, refused, table };
  return {
    lockout,
    table,
    samples,
    fleet: () => statistics.numbers(),
    queries,
    roles: new KnownRoles({ feed, policy, queries, reader }),
    routes: [
      ...fleetRoutes({ clock, feed, statistics, brokerReports: samples }),
      ...auditRoutes({ folder: auditFolder, history, table }),
      ...tokenListRoutes(registry, clock),
      ...metricsRoutes(eventDeps),
      ...brokerRoutes(brokerDeps),
      ...commandRoutes(brokerDeps),
      ...operatorRoutes(signInDeps),
      ...policyRoutes({ feed, policy, queries, reader, samples, table }),
      ...simulationRoutes(simulations, limits.simulationDevicesMax),
    ],
    rawRoutes: [
      eventsRoute(eventDeps),
      tailRoute({ ...brokerDeps, ...eventDeps }),
      ...signInRoutes(signInDeps),
      ...simulationFileRoutes(simulations),
      ...consoleRoutes(),
    ],
  };
}
