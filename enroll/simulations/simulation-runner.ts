/**
 * What starts the simulator. The service does not contain it: the program that puts the services together
 * provides a runner, and a service without one says so.
 *
 * @module
 */
import type {
  SimulationChecked,
  SimulationComparison,
  SimulationProgress,
} from '../../core/protocol/simulation-api.ts';

export interface SamplePlan {
  readonly name: string;
  readonly description: string;
  /** YAML. */
  readonly plan: string;
}

export interface SimulationRunner {
  /** Plans to begin with. */
  samples(): Promise<readonly SamplePlan[]>;
  /** The JSON Schema of a plan. */
  planSchema(): Promise<Record<string, unknown>>;
  /**
   * Reads a plan. A fault is part of the answer. Plans that read files or connect to addresses of their own
   * have one: the caller is on another machine.
   *
   * @throws FlotillaError `too-many-requests`, `plan-unreadable` when it takes too long
   */
  check(plan: string, caller: string): Promise<SimulationChecked>;
  /** Starts a run; the report is written into the folder. */
  start(run: SimulationStart): RunningSimulation;
  /** Compares the reports in two folders. @throws FlotillaError `sim-report-unreadable` */
  compare(folderA: string, folderB: string): Promise<SimulationComparison>;
}

export interface SimulationStart {
  readonly planFile: string;
  readonly reportFolder: string;
  /** Called about once a second. */
  readonly onProgress: (progress: SimulationProgress) => void;
}

export interface RunningSimulation {
  /** Resolves when the run has ended, for whatever reason. */
  readonly ended: Promise<SimulationEnd>;
  /** Ends the run early; its report is written. */
  stop(): void;
}

export interface SimulationEnd {
  readonly outcome: 'passed' | 'failed' | 'error';
  /** Why it ended early; null when it did not. */
  readonly failure: string | null;
}
