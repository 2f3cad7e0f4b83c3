/**
 * The simulations that operators start: one at a time, with a bounded number of reports. A run is a folder
 * with `run.json`, `plan.yaml` and the files of the report.
 *
 * @module
 */
import { randomBytes } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { makeSecretFolder, writeFileAtomic } from '../../core/atomic-file.ts';
import type { Cancel, Clock } from '../../core/clock.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { Logger } from '../../core/log.ts';
import {
  simulationReportSchema,
  type SimulationChecked,
  type SimulationComparison,
  type SimulationPoint,
  type SimulationProgress,
  type SimulationReport,
  type SimulationRun,
} from '../../core/protocol/simulation-api.ts';
import type { AuditEvent } from '../audit/audit-event.ts';
import { readRuns, runFile } from './run-folder.ts';
import type { RunningSimulation, SamplePlan, SimulationRunner } from './simulation-runner.ts';

/** Seconds of the run in progress that a page gets when it opens. */
const pointsKeptMax = 600;

export interface SimulationDeps {
  readonly audit: { append(event: AuditEvent): Promise<void> };
  readonly clock: Clock;
  readonly folder: string;
  readonly limits: {
    readonly simulationDevicesMax: number;
    readonly simulationMaxSeconds: number;
    readonly simulationsKeptMax: number;
  };
  readonly log: Logger;
  /** Undefined where nothing can start the simulator. */
  readonly runner: SimulationRunner | undefined;
  /** Sends the state of a run to those who follow events. */
  readonly publish: (event: {
    readonly run: SimulationRun;
    readonly progress: SimulationProgress | null;
  }) => void;
}

/** The run in progress. */
interface CurrentRun {
  readonly id: string;
  readonly points: SimulationPoint[];
  progress: SimulationProgress | null;
  isStopped: boolean;
  stop: RunningSimulation['stop'];
}

export class Simulations {
  readonly #deps: SimulationDeps;
  /** Newest first. */
  #runs: SimulationRun[];
  #current: CurrentRun | undefined;
  #isStarting = false;
  /** Resolves when the last run that was started has been recorded. */
  #recorded: Promise<void> = Promise.resolve();

  private constructor(deps: SimulationDeps, runs: SimulationRun[]) {
    this.#deps = deps;
    this.#runs = runs;
  }

  /** Reads the runs that are kept. Runs that a stop of the service interrupted are marked as such. */
  static async open(deps: SimulationDeps): Promise<Simulations> {
    return new Simulations(deps, await readRuns(deps.folder));
  }

  get isAvailable(): boolean {
    return this.#deps.runner !== undefined;
  }

  get runs(): readonly SimulationRun[] {
    return this.#runs;
  }

  get live(): {
    id: string;
    progress: SimulationProgress | null;
    points: SimulationPoint[];
  } | null {
    if (this.#current === undefined) return null;
    const { id, progress, points } = this.#current;
    return { id, progress, points: [...points] };
  }

  async samples(): Promise<readonly SamplePlan[]> {
    return (await this.#deps.runner?.samples()) ?? [];
  }

  /** @throws FlotillaError `simulator-missing` */
  async planSchema(): Promise<Record<string, unknown>> {
    return this.#runner().planSchema();
  }

  /** @throws FlotillaError `simulator-missing` */
  async check(plan: string, caller: string): Promise<SimulationChecked> {
    const checked = await this.#runner().check(plan, caller);
    const { simulationDevicesMax } = this.#deps.limits;
    if (!checked.ok || checked.devices <= simulationDevicesMax) return checked;
    const detail = `${checked.devices} devices exceed the limit of ${simulationDevicesMax}`;
    return { ...checked, ok: false, error: { detail, line: null, column: null } };
  }

  /** @throws FlotillaError `simulator-missing`, `simulation-running`, `simulation-refused`, `file-write-failed` */
  async start(plan: string, actor: string): Promise<SimulationRun> {
    const runner = this.#runner();
    if (this.#current !== undefined || this.#isStarting) {
      throw new FlotillaError('simulation-running');
    }
    this.#isStarting = true;
    try {
      const checked = await this.check(plan, actor);
      if (!checked.ok) {
        throw new FlotillaError('simulation-refused', {
          detail: checked.error?.detail.slice(0, 1000) ?? 'plan',
        });
      }
      const run = this.#newRun(checked, actor);
      const folder = this.#folderOf(run.id);
      await makeSecretFolder(folder);
      await writeFileAtomic(join(folder, 'plan.yaml'), plan);
      await this.#record(run);
      await this.#deps.audit.append({
        action: 'simulation-started',
        actor,
        detail: { run: run.id, plan: run.plan, devices: run.devices },
      });
      this.#runs = [run, ...this.#runs];
      await this.#removeOldest();
      this.#recorded = this.#follow(run, runner);
      return run;
    } finally {
      this.#isStarting = false;
    }
  }

  /** @throws FlotillaError `simulation-not-found` when this run is not in progress */
  stop(id: string): SimulationRun {
    const run = this.#find(id);
    if (this.#current?.id !== id) throw notFound(id);
    this.#current.isStopped = true;
    this.#current.stop();
    return run;
  }

  /** @throws FlotillaError `simulation-not-found`, `simulation-running` */
  async delete(id: string): Promise<void> {
    this.#find(id);
    if (this.#current?.id === id) throw new FlotillaError('simulation-running');
    await rm(this.#folderOf(id), { recursive: true, force: true });
    this.#runs = this.#runs.filter((run) => run.id !== id);
  }

  /** @throws FlotillaError `simulation-not-found` */
  async report(id: string): Promise<SimulationReport> {
    const run = this.#find(id);
    const report: unknown = JSON.parse((await this.file(id, 'report.json')).toString());
    return simulationReportSchema.parse({ run, report });
  }

  /** A file of the report as it is. @throws FlotillaError `simulation-not-found` */
  async file(id: string, name: 'report.html' | 'report.json'): Promise<Buffer> {
    this.#find(id);
    try {
      return await readFile(join(this.#folderOf(id), name));
    } catch (error) {
      throw new FlotillaError('simulation-not-found', { detail: `${id}: ${name}`, cause: error });
    }
  }

  /** @throws FlotillaError `simulator-missing`, `simulation-not-found` */
  async compare(a: string, b: string): Promise<SimulationComparison> {
    const runner = this.#runner();
    for (const id of [a, b]) if (!this.#find(id).hasReport) throw notFound(id);
    return runner.compare(this.#folderOf(a), this.#folderOf(b));
  }

  /** Stops the run in progress and waits until it is recorded. */
  async close(): Promise<void> {
    this.#current?.stop();
    await this.#recorded;
  }

  /** Never rejects: whoever started the run has got the response already. */
  async #follow(run: SimulationRun, runner: SimulationRunner): Promise<void> {
    const { audit, clock, limits, log, publish } = this.#deps;
    const folder = this.#folderOf(run.id);
    const current: CurrentRun = {
      id: run.id,
      points: [],
      progress: null,
      isStopped: false,
      stop: () => undefined,
    };
    const running = runner.start({
      planFile: join(folder, 'plan.yaml'),
      reportFolder: folder,
      onProgress: (progress) => {
        current.progress = progress;
        if (progress.point !== null) current.points.push(progress.point);
        if (current.points.length > pointsKeptMax) current.points.shift();
        publish({ run, progress });
      },
    });
    current.stop = () => running.stop();
    this.#current = current;
    publish({ run, progress: null });
    const cancel: Cancel = clock.after(limits.simulationMaxSeconds * 1000, () => {
      current.isStopped = true;
      running.stop();
    });
    const { outcome, failure } = await running.ended;
    cancel();
    const ended: SimulationRun = {
      ...run,
      endedAt: new Date(clock.now()).toISOString(),
      outcome: current.isStopped ? 'stopped' : outcome,
      failure,
      hasReport: await this.file(run.id, 'report.json').then(
        () => true,
        () => false,
      ),
    };
    this.#runs = this.#runs.map((one) => (one.id === run.id ? ended : one));
    this.#current = undefined;
    publish({ run: ended, progress: current.progress });
    try {
      await this.#record(ended);
      await audit.append({
        action: 'simulation-ended',
        actor: 'system',
        detail: { run: run.id, plan: run.plan, outcome: ended.outcome },
      });
    } catch (error) {
      log.error({ err: error }, 'the end of a simulation could not be recorded');
    }
  }

  #newRun({ name, devices }: SimulationChecked, actor: string): SimulationRun {
    const startedAt = new Date(this.#deps.clock.now()).toISOString();
    // With milliseconds: the order of the names is the order of the starts.
    const stamp = startedAt.replaceAll(/[-:.Z]/g, '').toLowerCase();
    return {
      id: `${stamp}-${randomBytes(4).toString('hex')}`,
      plan: name ?? 'plan',
      devices,
      startedAt,
      startedBy: actor,
      endedAt: null,
      outcome: 'running',
      failure: null,
      hasReport: false,
    };
  }

  async #record(run: SimulationRun): Promise<void> {
    await writeFileAtomic(runFile(this.#folderOf(run.id)), `${JSON.stringify(run)}\n`);
  }

  async #removeOldest(): Promise<void> {
    for (const { id } of this.#runs.slice(this.#deps.limits.simulationsKeptMax)) {
      await this.delete(id);
    }
  }

  #runner(): SimulationRunner {
    const { runner } = this.#deps;
    if (runner === undefined) throw new FlotillaError('simulator-missing');
    return runner;
  }

  #find(id: string): SimulationRun {
    const run = this.#runs.find((one) => one.id === id);
    if (run === undefined) throw notFound(id);
    return run;
  }

  /** The id is one of a run that exists: no path of a caller reaches the file system. */
  #folderOf(id: string): string {
    return join(this.#deps.folder, id);
  }
}

function notFound(id: string): FlotillaError {
  return new FlotillaError('simulation-not-found', { detail: id });
}
