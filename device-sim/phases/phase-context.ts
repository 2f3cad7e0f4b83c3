/**
 * What every phase is given, and what it gives back.
 *
 * @module
 */
import type { Logger } from '../../core/log.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { WorkerPool } from '../worker/worker-pool.ts';
import type { CredentialKeeper } from '../credentials/credential-keeper.ts';
import type { ServiceApi } from '../credentials/service-api.ts';
import type { RunStats } from '../stats/run-stats.ts';
import type { Plan } from '../plan/plan-schema.ts';
import type { Roster } from '../fleet/roster.ts';
import type { BrokerAddress } from '../worker/protocol.ts';

export interface PhaseContext {
  /** How the report calls this phase. */
  readonly name: string;
  readonly plan: Plan;
  readonly seed: string;
  readonly run: string;
  readonly roster: Roster;
  readonly pool: WorkerPool;
  readonly brokers: readonly BrokerAddress[];
  /** Undefined when the broker is not a Flotilla. */
  readonly api: ServiceApi | undefined;
  readonly keeper: CredentialKeeper;
  readonly stats: RunStats;
  readonly fleet: FleetState;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** What the phases of a run tell each other about the devices. */
export interface FleetState {
  /** Taken out on purpose (revoked by a drill): no longer expected anywhere. */
  readonly retired: Set<number>;
  /** Could not enroll, or never came in though it was meant to. */
  readonly failed: Map<number, string>;
  /** Meant to be connected. */
  readonly joined: Set<number>;
  /** Fingerprints of public keys that were seen. */
  readonly keys: Set<string>;
  enrolled: number;
}

/** How a phase ended. */
export interface PhaseOutcome {
  /** For drills: whether what had to be proven was; undefined for phases that only make load. */
  readonly passed?: boolean;
  /** Sentences for people: what was seen. */
  readonly evidence: readonly string[];
  /** Numbers for thresholds. */
  readonly figures: Readonly<Record<string, number>>;
}

/** The devices that take part: of the groups, and not retired. */
export function participants(
  context: PhaseContext,
  groups: readonly string[] | undefined,
): number[] {
  const { roster, fleet } = context;
  return roster.numbersOf(groups).filter((number) => !fleet.retired.has(number));
}

/** Those of the participants that are meant to be connected. */
export function connectedOnes(
  context: PhaseContext,
  groups: readonly string[] | undefined,
): number[] {
  const { fleet } = context;
  return participants(context, groups).filter(
    (number) => fleet.joined.has(number) && !fleet.failed.has(number),
  );
}

/** The service, for phases that cannot do without. @throws FlotillaError `sim-phase-unsupported` */
export function serviceOf({ api, name }: PhaseContext): ServiceApi {
  if (api === undefined) throw new FlotillaError('sim-phase-unsupported', { detail: name });
  return api;
}

export { epochNow } from '../traffic/shared-clock.ts';
