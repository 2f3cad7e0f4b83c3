/**
 * Creates the parts of the enrollment service out of what is open.
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';
import type { Config } from '../../core/config/config.ts';
import type { Logger } from '../../core/log.ts';
import type { StateFolder } from '../../core/state-folder.ts';
import { BoundedRefusals } from '../audit/bounded-refusals.ts';
import { RefusalAuditWriter } from '../audit/refusal-audit-writer.ts';
import { authorityUrls } from '../ca/authority-urls.ts';
import { CmpKey } from '../ca/cmp-key.ts';
import { readPassphrase, type Environment } from '../ca/passphrase.ts';
import { BrokerIncidents } from '../devices/broker-incidents.ts';
import { DeviceActions } from '../devices/device-actions.ts';
import { DeviceAdmin } from '../devices/devices.ts';
import { PresenceTable } from '../devices/presence-table.ts';
import { CertificateIssuer } from '../enrollment/certificate-issuer.ts';
import { Enrollment } from '../enrollment/enrollment.ts';
import { Factories } from '../enrollment/factories.ts';
import { Renewal } from '../enrollment/renewal.ts';
import { RenewalAdviser } from '../enrollment/renewal-advice.ts';
import { ServiceNames } from '../enrollment/service-names.ts';
import { Tokens } from '../enrollment/tokens.ts';
import { openHook } from '../enrollment/veto-hook.ts';
import { AheadBrokers } from '../feed/ahead-brokers.ts';
import { Feed } from '../feed/directory-feed.ts';
import { OcspService } from '../revocation/ocsp-responder.ts';
import { RevocationList } from '../revocation/revocation-list.ts';
import { RootResponders } from '../revocation/root-responders.ts';
import { CaChange, type CaChangeDeps } from '../rollover/ca-change.ts';
import { IssuerRollover } from '../rollover/issuer-rollover.ts';
import { IssuerWithdrawal } from '../rollover/issuer-withdrawal.ts';
import { RootRollover } from '../rollover/root-rollover.ts';
import type { OpenState } from './state.ts';

export interface ComponentDeps extends Omit<OpenState, 'added'> {
  readonly clock: Clock;
  readonly config: Config;
  readonly log: Logger;
}

/** What decides about certificates. */
export interface IssuanceParts {
  readonly enrollment: Enrollment;
  readonly factories: Factories;
  readonly issuing: CertificateIssuer;
  readonly renewal: Renewal;
  readonly adviser: RenewalAdviser;
  /** Audit lines about refused requests. */
  readonly refused: BoundedRefusals;
  readonly tokens: Tokens;
}

/** @throws FlotillaError `config-unreadable` (the veto hook), `registry-damaged` */
export async function createIssuance(
  deps: ComponentDeps & { readonly state: StateFolder; readonly env: Environment },
): Promise<IssuanceParts> {
  const { registry, config, clock, log, state, env } = deps;
  const hook = await openHook(config, clock, log);
  const factories = new Factories(clock);
  await factories.load(registry);
  const secrets = new CmpKey(state, () => readPassphrase(state, env));
  const tokens = new Tokens({ ...deps, secrets });
  const issuing = new CertificateIssuer(deps);
  const linesPerMinute = config.limits.enroll.refusalLinesPerBrokerPerMinute;
  const refused = new BoundedRefusals({ ...deps, linesPerMinute });
  const adviser = new RenewalAdviser(deps);
  const serviceNames = new ServiceNames(deps);
  return {
    adviser,
    enrollment: new Enrollment({ ...deps, audit: refused, issuing, tokens, hook, serviceNames }),
    factories,
    issuing,
    renewal: new Renewal({ ...deps, audit: refused, issuing, adviser, serviceNames }),
    refused,
    tokens,
  };
}

/** What holds devices' state and reports changes of it. */
export interface DistributionParts {
  readonly ahead: AheadBrokers;
  readonly devices: DeviceAdmin;
  readonly feed: Feed;
  readonly incidents: BrokerIncidents;
  readonly lists: RevocationList;
  readonly ocsp: OcspService;
  readonly presence: PresenceTable;
  readonly refusals: RefusalAuditWriter;
  readonly revocations: DeviceActions;
  readonly changes: CaChanges;
}

/** What changes the CA. */
export interface CaChanges {
  readonly issuers: IssuerRollover;
  readonly roots: RootRollover;
  readonly withdrawal: IssuerWithdrawal;
}

/** @param deps `feed`: waits for the brokers; a stopped service has none */
export function createCaChanges(
  deps: ComponentDeps & {
    readonly state: StateFolder;
    readonly env: Environment;
    readonly feed: CaChangeDeps['feed'];
  },
): CaChanges {
  const { clock, config, state, env } = deps;
  const change = new CaChange({
    ...deps,
    caDeps: { clock, urls: authorityUrls(config) },
    graceMs: config.enroll.renewGrace,
    passphrase: () => readPassphrase(state, env),
  });
  return {
    issuers: new IssuerRollover(change),
    roots: new RootRollover(change),
    withdrawal: new IssuerWithdrawal(change),
  };
}

export function createDistribution(
  deps: ComponentDeps & { readonly state: StateFolder; readonly env: Environment },
): DistributionParts {
  const { audit, clock, config, state, env } = deps;
  const { enroll } = config;
  const limits = config.limits.enroll;
  const devices = new DeviceAdmin(deps);
  const ahead = new AheadBrokers(deps);
  const feed = new Feed({
    ...deps,
    ahead,
    graceMs: enroll.renewGrace,
    changesKeptMax: limits.feedChangesKeptMax,
    lagMaxBytes: limits.feedLagMaxBytes,
  });
  const lists = new RevocationList({
    ...deps,
    validityMs: enroll.crlValidity,
  });
  return {
    ahead,
    devices,
    feed,
    incidents: new BrokerIncidents({
      ...deps,
      devices,
      linesPerMinute: limits.refusalLinesPerBrokerPerMinute,
    }),
    lists,
    ocsp: new OcspService({
      ...deps,
      roots: new RootResponders({ ...deps, passphrase: () => readPassphrase(state, env) }),
      validityMs: enroll.ocspValidity,
      signaturesPerSecond: limits.signaturesPerSecond,
    }),
    presence: new PresenceTable(deps),
    refusals: new RefusalAuditWriter({
      ...deps,
      linesPerMinute: limits.refusalLinesPerBrokerPerMinute,
    }),
    revocations: new DeviceActions({ devices, feed, audit, clock, renewCrl: () => lists.renew() }),
    changes: createCaChanges({ ...deps, feed }),
  };
}
