/**
 * The input and the result of every phase.
 *
 * @module
 */
import type { Logger } from '../../core/log.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { WorkerPool } from '../worker/worker-pool.ts';
import type { CredentialStore } from '../credentials/credential-store.ts';
import type { ServiceApi } from '../credentials/service-api.ts';
import type { RunStats } from '../stats/run-stats.ts';
import type { Plan } from '../plan/plan-schema.ts';
import type { Roster } from '../fleet/roster.ts';
import type { BrokerAddress } from '../worker/protocol.ts';
import type { SharedClock } from '../traffic/shared-clock.ts';

export interface PhaseContext {
  /** The name of this phase in the report. */
  readonly name: string;
  readonly plan: Plan;
  readonly seed: string;
  readonly run: string;
  readonly roster: Roster;
  readonly pool: WorkerPool;
  readonly brokers: readonly BrokerAddress[];
  /** Undefined when the broker is not a Flotilla. */
  readonly api: ServiceApi | undefined;
  readonly credentialStore: CredentialStore;
  readonly stats: RunStats;
  readonly fleet: FleetState;
  /** The time that workers are given: the controller's. */
  readonly clock: SharedClock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** The state of the devices that the phases of a run share. */
export interface FleetState {
  /** Revoked by a drill: no longer expected to connect or publish. */
  readonly retired: Set<number>;
  /** Could not enroll or connect; with the reason. */
  readonly failed: Map<number, string>;
  /** Expected to be connected. */
  readonly joined: Set<number>;
  /** Fingerprints of the public keys of enrolled devices. */
  readonly keys: Set<string>;
  enrolled: number;
}

/** The result of a phase. */
export interface PhaseOutcome {
  /** For drills: whether the drill passed; undefined for phases that only make load. */
  readonly passed?: boolean;
  /** What was observed, as sentences for the report. */
  readonly evidence: readonly string[];
  /** Figures that thresholds can name. */
  readonly figures: Readonly<Record<string, number>>;
}

/** The outcome of a drill that cannot run because too few devices are connected. */
export const tooFewDevices: PhaseOutcome = {
  passed: false,
  evidence: ['there are too few connected devices for this drill'],
  figures: {},
};

/** The devices of the groups that are not retired. */
export function participants(
  context: PhaseContext,
  groups: readonly string[] | undefined,
): number[] {
  const { roster, fleet } = context;
  return roster.numbersOf(groups).filter((number) => !fleet.retired.has(number));
}

/** The participants that are expected to be connected. */
export function connectedDevices(
  context: PhaseContext,
  groups: readonly string[] | undefined,
): number[] {
  const { fleet } = context;
  return participants(context, groups).filter(
    (number) => fleet.joined.has(number) && !fleet.failed.has(number),
  );
}

/** The enrollment service, for phases that need it. @throws FlotillaError `sim-phase-unsupported` */
export function serviceOf({ api, name }: PhaseContext): ServiceApi {
  if (api === undefined) throw new FlotillaError('sim-phase-unsupported', { detail: name });
  return api;
}
