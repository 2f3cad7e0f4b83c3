/**
 * Health checks of the service, for `flotilla status`.
 *
 * @module
 */
import { statfs } from 'node:fs/promises';
import type { CertificateFacts } from '../certs/certificate.ts';
import { checkExpiry } from '../certs/expiry-warning.ts';
import { amountText } from '../core/amount-text.ts';
import type { Clock } from '../core/clock.ts';
import type { Status } from '../core/protocol/enrollment-api.ts';
import type { StateFolder } from '../core/state-folder.ts';
import type { AuditTrail } from './audit/audit-trail.ts';
import { authorityChecks, livingRoots, responderCheck } from './ca/authority-checks.ts';
import type { CertificateAuthority } from './ca/certificate-authority.ts';
import { readRootResponder } from './ca/root-responder.ts';
import type { AheadBrokers } from './feed/ahead-brokers.ts';
import type { Feed } from './feed/directory-feed.ts';
import { brokerCheck } from './queries/broker-check.ts';
import { listBrokers, type BrokerReports } from './queries/broker-list.ts';
import type { FleetCounts } from './queries/fleet-statistics.ts';
import type { Registry } from './registry/registry.ts';
import { databaseChecks } from './telemetry/enrollment-health.ts';

type Check = Status['checks'][number];

export interface StatusDeps {
  readonly ahead: Pick<AheadBrokers, 'list'>;
  readonly audit: AuditTrail;
  readonly ca: CertificateAuthority;
  readonly clock: Clock;
  readonly connection?: { readonly isConnected: boolean } | undefined;
  readonly feed: Feed;
  readonly registry: Registry;
  readonly brokerReports: BrokerReports;
  readonly state: StateFolder;
  readonly serverCertificate: () => CertificateFacts;
  readonly fleet: () => Promise<FleetCounts>;
}

const diskFreeMinBytes = 256 * 1024 * 1024;

export async function statusOfService(deps: StatusDeps): Promise<Status> {
  const { ca, clock, feed, registry, audit } = deps;
  const now = clock.now();
  const { brokers } = feed;
  await audit.probe();
  const head = audit.head;
  const checks: Check[] = [
    ...authorityChecks(ca.inventory, now),
    responderCheck(await responders(deps), now),
    { name: 'certificate of the service', ...checkExpiry(deps.serverCertificate(), now) },
    {
      name: 'brokers on the feed',
      ok: brokers.length > 0,
      detail: brokers.length === 0 ? 'none' : brokers.join(', '),
    },
    {
      name: 'registry',
      ok: true,
      detail: amountText(await registry.count('devices'), 'identity', 'identities'),
    },
    { name: 'devices', ok: true, detail: devicesText(await deps.fleet()) },
    {
      name: 'audit log',
      ok: !audit.isBroken,
      detail: `line ${head.seq}, hash ${head.hash.slice(0, 16)}`,
    },
    ...databaseChecks(deps.connection?.isConnected),
    ...listBrokers(feed, deps.brokerReports).map((broker) => brokerCheck(broker, now)),
    historyCheck(deps.ahead.list),
    policyCheck(deps.brokerReports, (await registry.get('documents', 'policy')) !== undefined),
    await disk(deps.state.root),
  ];
  return { ok: checks.every(({ ok }) => ok), checks };
}

function responders({ ca, clock, state }: StatusDeps): Promise<(CertificateFacts | undefined)[]> {
  const roots = livingRoots(ca.inventory, clock.now());
  return Promise.all(roots.map((root) => readRootResponder(state, root)));
}

/** A registry that was restored from a backup lacks what happened since then. */
function historyCheck(ahead: AheadBrokers['list']): Check {
  const detail = ahead
    .map(({ broker, known }) => `${broker} knows commit ${known.commit}`)
    .join(', ');
  return {
    name: 'registry history',
    ok: ahead.length === 0,
    detail:
      ahead.length === 0
        ? 'no broker knows more'
        : `restored from an older backup: ${detail}; run flotilla reconcile`,
  };
}

/** `25 (24 active, 1 revoked), 20 identities connected`. */
function devicesText({ devices: { total, connected, byStatus } }: FleetCounts): string {
  const states = Object.entries(byStatus).filter(([, count]) => count > 0);
  const parts = states.map(([status, count]) => `${count} ${status}`).join(', ');
  return `${total}${parts === '' ? '' : ` (${parts})`}, ${connected} connected`;
}

/** A broker that overrides the fleet's policy is no fault; one that could not use it is. */
function policyCheck(reports: BrokerReports, isStored: boolean): Check {
  const policies = reports.names.map((broker) => ({
    broker,
    inForce: reports.latest(broker)?.policy,
  }));
  const faulty = policies.filter(({ inForce }) => inForce?.fault !== undefined);
  const own = policies.filter(({ inForce }) => inForce?.source === 'file');
  const detail = [
    ...faulty.map(({ broker, inForce }) => `${broker}: ${inForce?.fault ?? ''}`),
    ...(own.length === 0 ? [] : [`own file: ${own.map(({ broker }) => broker).join(', ')}`]),
  ].join('; ');
  const others = isStored ? 'the policy of the fleet' : 'the default policy';
  return {
    name: 'policy',
    ok: faulty.length === 0,
    detail: detail === '' ? others : detail,
  };
}

async function disk(path: string): Promise<Check> {
  const { bavail, bsize } = await statfs(path);
  const free = bavail * bsize;
  return {
    name: 'disk',
    ok: free > diskFreeMinBytes,
    detail: `${Math.floor(free / 1024 / 1024)} MiB free`,
  };
}
