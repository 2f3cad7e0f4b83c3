/**
 * One run of a plan: starts the workers, runs the phases one after the other, compares what was sent
 * with what was delivered, and makes the report.
 *
 * @module
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Clock } from '../../core/clock.ts';
import { FlotillaError, messageOf } from '../../core/errors/flotilla-error.ts';
import type { Lifecycle } from '../../core/lifecycle.ts';
import type { Logger } from '../../core/log.ts';
import { openCredentials, type RunCredentials } from '../credentials/open-credentials.ts';
import { rosterOf, type Roster } from '../fleet/roster.ts';
import { brokersOf, isFlotilla, type SimTarget } from '../fleet/target.ts';
import type { CounterName } from '../measure/meter.ts';
import { saveCredentials } from '../phases/enroll-phase.ts';
import type { FleetState, PhaseContext, PhaseOutcome } from '../phases/phase-context.ts';
import { runPhase } from '../phases/phase-registry.ts';
import { phasesOf } from '../plan/phase-names.ts';
import type { PhaseSpec } from '../plan/phase-schema.ts';
import type { Plan } from '../plan/plan-schema.ts';
import { newSeed } from '../plan/seed.ts';
import type { StandingThreshold } from '../plan/threshold.ts';
import type { PhaseReport, Report } from '../report/report-model.ts';
import { RunStats } from '../stats/run-stats.ts';
import { SharedClock } from '../traffic/shared-clock.ts';
import type { Progress } from '../view/progress.ts';
import type { BrokerAddress, Tick } from '../worker/protocol.ts';
import type { WorkerHandle, WorkerPool } from '../worker/worker-pool.ts';
import { collectAccounts, settleAccount, type Account } from './accounting.ts';
import { isThisMachine, listeningPid, totalUsageOf } from './broker-process.ts';
import { machineUsage } from './machine-usage.ts';
import { phaseReportOf } from './phase-report.ts';
import { checkBrokers, checkLocalLimits, machineLimits } from './preflight.ts';
import { expandAddresses } from './source-addresses.ts';
import { reportOf, standingOf } from './verdict.ts';
import { shutDownGraceMs, startWorkers, workerCountOf } from './worker-start.ts';

export interface SimulationDeps {
  readonly target: SimTarget;
  readonly log: Logger;
  readonly clock: Clock;
  /** Called once a second and when a phase starts or ends; must not throw. */
  readonly progress: (progress: Progress) => void;
  /** Stops the run early; the report then covers what was done. */
  readonly signal: AbortSignal;
  /** Runs the workers in this process instead of processes of their own: for small fleets in tests. */
  readonly inProcess?: boolean;
}

/** Phases that need Flotilla's enrollment service. */
const needsService: ReadonlySet<string> = new Set(['revocation-drill', 'mass-renewal']);
const tickMs = 1000;
const settleMaxMs = 10_000;
/** How long a stopped run waits for messages that are still in flight. */
const stoppedDrainMs = 2000;
const notesMax = 20;

export class Simulation {
  readonly #plan: Plan;
  readonly #deps: SimulationDeps;
  readonly #seed: string;
  readonly #run = randomBytes(4).toString('hex');
  readonly #roster: Roster;
  readonly #lifecycle: Lifecycle;
  readonly #clock = new SharedClock();
  readonly #startMs = this.#clock.now();
  readonly #startedAtMs: number;
  readonly #stats: RunStats;
  readonly #fleet: FleetState = {
    retired: new Set(),
    failed: new Map(),
    joined: new Set(),
    keys: new Set(),
    enrolled: 0,
  };
  readonly #runningPhases = new Map<string, { sinceMs: number; ofMs: number | undefined }>();
  readonly #phases: PhaseReport[] = [];
  #standing: readonly StandingThreshold[] = [];
  readonly #workerLost = new AbortController();
  readonly #stop: AbortSignal;
  readonly #peakOnline = { devices: 0, rssBytes: 0 };
  #clockNotes: readonly string[] = [];
  #idleRssBytes = 0;
  /** Their memory, less what they use when idle, is what the devices cost. */
  #deviceWorkers: readonly WorkerHandle[] = [];

  constructor(plan: Plan, deps: SimulationDeps, lifecycle: Lifecycle) {
    this.#plan = plan;
    this.#deps = deps;
    this.#lifecycle = lifecycle;
    this.#seed = plan.seed ?? newSeed();
    this.#roster = rosterOf(plan, this.#seed);
    this.#startedAtMs = deps.clock.now();
    this.#stop = AbortSignal.any([deps.signal, this.#workerLost.signal]);
    const brokers = brokersOf(deps.target);
    const pids = brokers.map(listeningPid);
    // Without the CPU of a local broker or of agents, the rest is not the CPU of other processes.
    const isMeasurable =
      plan.run.agents.length === 0 &&
      brokers.every(({ host }, index) => !isThisMachine(host) || pids[index] !== undefined);
    this.#stats = new RunStats(
      this.#startMs,
      () => totalUsageOf(pids),
      isMeasurable ? machineUsage : undefined,
    );
  }

  /** @throws FlotillaError when the run cannot start; later failures are part of the report */
  async run(): Promise<Report> {
    const { clock, target, signal } = this.#deps;
    this.#checkPhases();
    const credentials = await openCredentials(this.#plan, target, this.#roster, clock);
    this.#lifecycle.add('service', () => credentials.close());
    const brokers = await this.#checkTarget(credentials.ca);
    const pool = await this.#startWorkers(brokers, credentials);
    const ticking = setInterval(() => this.#closeSecond(), tickMs);
    this.#lifecycle.add('progress', () => clearInterval(ticking));

    const phases = await this.#runPhases(pool, brokers, credentials);
    const workerFailure = (): string | null =>
      this.#workerLost.signal.aborted ? messageOf(this.#workerLost.signal.reason) : null;
    let failure = workerFailure();
    let account: Account | undefined;
    try {
      const drainMs = signal.aborted ? stoppedDrainMs : this.#plan.run.drain;
      account = await this.#settle(pool, brokers.length, drainMs);
    } catch (error) {
      failure ??= workerFailure() ?? messageOf(error);
    }
    await this.#saveCredentials(pool, credentials);
    clearInterval(ticking);
    this.#stats.closeSecond(this.#clock.now(), this.#fleet.retired.size);
    const report = this.#reportOf(phases, account, failure);
    await pool.shutDown(shutDownGraceMs);
    await this.#cleanUp(credentials);
    return report;
  }

  /** @throws FlotillaError `sim-phase-unsupported` when a phase needs Flotilla's enrollment service */
  #checkPhases(): void {
    if (isFlotilla(this.#deps.target)) return;
    const unsupported = phasesOf(this.#plan).find(({ spec }) => needsService.has(spec.phase));
    if (unsupported === undefined) return;
    throw new FlotillaError('sim-phase-unsupported', { detail: unsupported.name });
  }

  /** Checks the limits of this machine and the brokers. @throws FlotillaError see preflight.ts */
  async #checkTarget(ca: string): Promise<BrokerAddress[]> {
    const { size } = this.#roster;
    const sources = Math.max(1, expandAddresses(this.#plan.run.sourceAddresses).length);
    checkLocalLimits(size, workerCountOf(this.#plan, size), sources, machineLimits());
    const addresses = brokersOf(this.#deps.target);
    await checkBrokers(addresses, ca, size);
    return addresses.map((address) => ({ ...address, ca }));
  }

  async #startWorkers(
    brokers: readonly BrokerAddress[],
    credentials: RunCredentials,
  ): Promise<WorkerPool> {
    const { pool, clockNotes } = await startWorkers({
      plan: this.#plan,
      seed: this.#seed,
      run: this.#run,
      fleetSize: this.#roster.size,
      brokers,
      credentials,
      sourceAddresses: expandAddresses(this.#plan.run.sourceAddresses),
      clock: this.#clock,
      lifecycle: this.#lifecycle,
      inProcess: this.#deps.inProcess === true,
      onTick: (worker, tick) => this.#addTick(worker, tick),
      onLost: (error) => this.#workerLost.abort(error),
      onIdle: (deviceWorkers) => {
        this.#deviceWorkers = deviceWorkers;
        this.#idleRssBytes = this.#stats.rssBytes(deviceWorkers);
      },
    });
    this.#clockNotes = clockNotes;
    return pool;
  }

  #addTick(worker: WorkerHandle, tick: Tick): void {
    this.#stats.addTick(worker, tick);
    const { online } = this.#stats.states();
    if (online < this.#peakOnline.devices) return;
    this.#peakOnline.devices = online;
    this.#peakOnline.rssBytes = this.#stats.rssBytes(this.#deviceWorkers);
  }

  async #runPhases(
    pool: WorkerPool,
    brokers: readonly BrokerAddress[],
    { api, credentialStore }: RunCredentials,
  ): Promise<PhaseReport[]> {
    const context = {
      plan: this.#plan,
      seed: this.#seed,
      run: this.#run,
      roster: this.#roster,
      pool,
      brokers,
      api,
      credentialStore,
      stats: this.#stats,
      fleet: this.#fleet,
      clock: this.#clock,
      log: this.#deps.log,
      signal: this.#stop,
    };
    const phases = phasesOf(this.#plan);
    for (const step of this.#plan.phases.keys()) {
      if (this.#stop.aborted) break;
      await Promise.all(
        phases
          .filter((phase) => phase.step === step)
          .map(async ({ name, spec }) => {
            this.#phases.push(await this.#runPhase(spec, { ...context, name }));
          }),
      );
    }
    return this.#phases;
  }

  async #runPhase(spec: PhaseSpec, context: PhaseContext): Promise<PhaseReport> {
    const { name, pool } = context;
    const sinceMs = this.#clock.now() - this.#startMs;
    const part = this.#stats.openPhase();
    const ofMs = 'duration' in spec ? spec.duration : undefined;
    this.#runningPhases.set(name, { sinceMs, ofMs });
    this.#emitProgress('phase-start', `${name} started`);
    let outcome: PhaseOutcome | undefined;
    let fault: unknown;
    try {
      outcome = await unlessAborted(runPhase(spec, context), this.#stop);
    } catch (error) {
      fault = error;
    }
    const durationMs = this.#clock.now() - this.#startMs - sinceMs;
    await pool.callAll('flush', {}).catch(() => undefined);
    part.close();
    this.#runningPhases.delete(name);
    const report = phaseReportOf({
      name,
      spec,
      runStartedAtMs: this.#startedAtMs,
      sinceMs,
      durationMs,
      meter: part.meter,
      outcome,
      fault,
      aborted: this.#stop.aborted,
    });
    const evidence = report.evidence.join('; ');
    this.#emitProgress(
      'phase-end',
      `${name} ${report.verdict ?? 'done'}${evidence === '' ? '' : `: ${evidence}`}`,
    );
    return report;
  }

  /** Waits for messages in flight, then compares what was sent with what was delivered. */
  async #settle(pool: WorkerPool, brokers: number, drainMs: number): Promise<Account> {
    await pool.callAll('halt', {});
    await pool.callAll('settle', { timeoutMs: Math.min(drainMs, settleMaxMs) });
    const endMs = performance.now() + drainMs;
    for (;;) {
      await pool.callAll('flush', {});
      const { devices, observers } = await collectAccounts(pool);
      const account = settleAccount(devices, observers, this.#stats.totals, brokers);
      const complete = account.telemetry.lost === 0 && account.commands.lost === 0;
      if (complete || performance.now() >= endMs) return account;
      await delay(200);
    }
  }

  /** Stores renewed certificates and removes those that a drill revoked. */
  async #saveCredentials(pool: WorkerPool, { credentialStore }: RunCredentials): Promise<void> {
    const { retired, joined } = this.#fleet;
    const { keep, agents } = this.#plan.run;
    try {
      if (retired.size > 0) {
        const ids = [...retired].map((device) => this.#roster.idOf(device));
        await credentialStore.remove(new Set(ids));
      }
      const renewed = this.#stats.totals.counter('renewed') > 0;
      if (!keep || !renewed || agents.length > 0) return;
      const devices = [...joined].filter((device) => !retired.has(device));
      await saveCredentials(devices, { pool, credentialStore });
    } catch (error) {
      this.#deps.log.warn({ err: error }, 'could not save the certificates of the devices');
    }
  }

  async #cleanUp(credentials: RunCredentials): Promise<void> {
    const devices = this.#plan.run.removeDevices
      ? this.#roster.numbersOf().map((number) => this.#roster.idOf(number))
      : [];
    await credentials.cleanUp(devices).catch((error: unknown) => {
      this.#deps.log.warn({ err: error }, 'could not remove everything from the registry');
    });
  }

  #reportOf(
    phases: readonly PhaseReport[],
    account: Account | undefined,
    failure: string | null,
  ): Report {
    return reportOf({
      plan: this.#plan,
      seed: this.#seed,
      run: this.#run,
      startedAtMs: this.#startedAtMs,
      durationMs: this.#clock.now() - this.#startMs,
      stats: this.#stats,
      fleet: this.#fleet,
      planned: this.#roster.size,
      account: account ?? settleAccount([], [], this.#stats.totals),
      phases,
      brokerAddress: brokersOf(this.#deps.target)
        .map(({ host, port }) => `${host}:${port}`)
        .join(', '),
      workers: workerCountOf(this.#plan, this.#roster.size),
      idleRssBytes: this.#idleRssBytes,
      peakOnline: this.#peakOnline,
      aborted: this.#deps.signal.aborted,
      failure,
      notes: this.#notes(account),
    });
  }

  #notes(account: Account | undefined): string[] {
    const id = (device: number): string => this.#roster.idOf(device);
    return [
      ...this.#clockNotes,
      ...(account?.losses ?? []).map(
        ({ device, ranges }) => `${id(device)} lost ${ranges.join('-')}`,
      ),
      ...[...this.#fleet.failed].map(([device, reason]) => `${id(device)} failed: ${reason}`),
    ].slice(0, notesMax);
  }

  #closeSecond(): void {
    const nowMs = this.#clock.now();
    this.#stats.closeSecond(nowMs, this.#fleet.retired.size);
    this.#standing = standingOf({
      ...{ plan: this.#plan, stats: this.#stats, fleet: this.#fleet, phases: this.#phases },
      ...{ planned: this.#roster.size, durationMs: nowMs - this.#startMs },
    });
    this.#emitProgress('second');
  }

  #emitProgress(kind: Progress['kind'], text = ''): void {
    const { totals, seconds } = this.#stats;
    const count = (name: CounterName): number => totals.counter(name);
    this.#deps.progress({
      kind,
      atMs: this.#clock.now() - this.#startMs,
      plan: this.#plan.name,
      seed: this.#seed,
      phases: [...this.#runningPhases].map(([name, { sinceMs, ofMs }]) => ({
        name,
        sinceMs,
        ofMs,
      })),
      planned: this.#roster.size,
      connectedEver: this.#stats.everOnline(),
      states: this.#stats.states(),
      second: seconds.at(-1),
      totals: {
        enrolled: count('enrolled'),
        published: count('published'),
        acknowledged: count('acknowledged'),
        delivered: count('delivered') + count('commandsDelivered'),
        duplicated: count('duplicated') + count('commandsDuplicated'),
        misdelivered: count('misdelivered') + count('commandsMisdelivered'),
      },
      errors: totals.errors(),
      thresholds: this.#standing,
      text,
    });
  }
}

/** Rejects as soon as the signal aborts; a later failure of `work` is then ignored. */
function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(new Error('stopped early'));
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}
