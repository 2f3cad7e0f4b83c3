/**
 * One run of a plan: workers are hired, phases follow each other, everything is measured, the
 * accounts are settled.
 *
 * @module
 */
import { randomBytes } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import type { Clock } from '../../core/clock.ts';
import { FlotillaError, messageOf } from '../../core/errors/flotilla-error.ts';
import type { Lifecycle } from '../../core/lifecycle.ts';
import type { Logger } from '../../core/log.ts';
import { AgentHub } from '../agent/agent-hub.ts';
import { devicesAt } from '../fleet/broker-choice.ts';
import { openCredentials, type RunCredentials } from '../credentials/open-credentials.ts';
import { LinkError } from '../device/link.ts';
import { RunStats } from '../stats/run-stats.ts';
import type { CounterName } from '../measure/meter.ts';
import { phasesOf, type Plan } from '../plan/read-plan.ts';
import type { PhaseSpec } from '../plan/plan-schema.ts';
import { epochNow, type FleetState, type PhaseOutcome } from '../phases/phase-context.ts';
import { keepCredentials } from '../phases/enroll-phase.ts';
import { runPhase } from '../phases/phase-registry.ts';
import type { Progress } from '../view/progress.ts';
import type { PhaseReport, Report } from '../report/report-model.ts';
import { filterFor, rosterOf, type Roster } from '../fleet/roster.ts';
import { newSeed } from '../plan/seed.ts';
import { brokersOf, isFlotilla, type SimTarget } from '../fleet/target.ts';
import type { BrokerAddress } from '../worker/protocol.ts';
import { collectAccounts, settleAccount, type Account } from './accounting.ts';
import { listenerOf, openFilesLimitOf, useOfAll } from './broker-process.ts';
import {
  WorkerPool,
  forkedChannel,
  WorkerHandle,
  localChannel,
  type OpenChannel,
} from '../worker/worker-pool.ts';
import { phaseReportOf } from './phase-report.ts';
import { checkBroker, checkBrokerRoom, checkRoom, machineLimits } from './preflight.ts';
import { addressesOf } from './source-addresses.ts';
import { reportOf } from './verdict.ts';

export interface SimulationDeps {
  readonly target: SimTarget;
  readonly log: Logger;
  readonly clock: Clock;
  /** Called once a second and at the turns of phases; must not throw. */
  readonly progress: (progress: Progress) => void;
  /** Ends the run in order, with a partial report. */
  readonly signal: AbortSignal;
  /** Workers in this process instead of processes of their own: for small fleets in tests. */
  readonly inProcess?: boolean;
}

/** Phases that another broker cannot serve. */
const needsService: ReadonlySet<string> = new Set(['revocation-drill', 'mass-renewal']);
/** How long an agent may take to answer at the beginning. */
const agentPatienceMs = 5000;
const goodbyeMs = 10_000;
const tickMs = 1000;
/** Up to this many devices one worker carries them and the observer too. */
const smallFleetMax = 100;
const devicesPerWorkerMin = 250;
const settleMaxMs = 10_000;
const notesMax = 20;

export class Simulation {
  readonly #plan: Plan;
  readonly #deps: SimulationDeps;
  readonly #seed: string;
  readonly #run = randomBytes(4).toString('hex');
  readonly #roster: Roster;
  readonly #lifecycle: Lifecycle;
  readonly #startMs = epochNow();
  readonly #startedAtMs: number;
  readonly #board: RunStats;
  readonly #fleet: FleetState = {
    retired: new Set(),
    failed: new Map(),
    joined: new Set(),
    keys: new Set(),
    enrolled: 0,
  };
  readonly #remarks: string[] = [];
  readonly #running = new Map<string, { sinceMs: number; ofMs: number | undefined }>();
  readonly #lost = new AbortController();
  readonly #stop: AbortSignal;
  readonly #peakOnline = { devices: 0, rssBytes: 0 };
  #idleRssBytes = 0;
  /** What carries devices: their memory is what devices cost. */
  #carriers: readonly object[] = [];

  constructor(plan: Plan, deps: SimulationDeps, lifecycle: Lifecycle) {
    this.#plan = plan;
    this.#deps = deps;
    this.#lifecycle = lifecycle;
    this.#seed = plan.seed ?? newSeed();
    this.#roster = rosterOf(plan, this.#seed);
    this.#startedAtMs = deps.clock.now();
    this.#stop = AbortSignal.any([deps.signal, this.#lost.signal]);
    const pids = brokersOf(deps.target).map(listenerOf);
    this.#board = new RunStats(this.#startMs, () => useOfAll(pids));
  }

  async run(): Promise<Report> {
    const { clock, target, signal, log } = this.#deps;
    const plan = this.#plan;
    if (!isFlotilla(target)) {
      const needy = phasesOf(plan).find(({ spec }) => needsService.has(spec.phase));
      if (needy !== undefined) {
        throw new FlotillaError('sim-phase-unsupported', { detail: needy.name });
      }
    }
    const credentials = await openCredentials(plan, target, this.#roster, clock);
    this.#lifecycle.add('service', () => credentials.close());
    const sourceAddresses = addressesOf(plan.run.sourceAddresses);
    const workers = this.#workers();
    checkRoom(this.#roster.size, workers, Math.max(1, sourceAddresses.length), machineLimits());
    const addresses = brokersOf(target);
    // One process may listen at several addresses.
    const shares = new Map<number, number>();
    for (const [index, address] of addresses.entries()) {
      const pid = listenerOf(address);
      const share = devicesAt(index, addresses.length, this.#roster.size);
      if (pid !== undefined) shares.set(pid, (shares.get(pid) ?? 0) + share);
    }
    for (const [pid, share] of shares) checkBrokerRoom(share, openFilesLimitOf(pid));
    for (const address of addresses) await checkBroker(address, credentials.ca);
    const brokers = addresses.map((address) => ({ ...address, ca: credentials.ca }));
    const pool = await this.#hire(workers, brokers, credentials, sourceAddresses);
    const ticking = setInterval(() => this.#second(), tickMs);
    this.#lifecycle.add('progress', () => clearInterval(ticking));

    const phases = await this.#phases(pool, brokers, credentials);
    const lost = (): string | null =>
      this.#lost.signal.aborted ? messageOf(this.#lost.signal.reason) : null;
    let failure = lost();
    let account: Account | undefined;
    try {
      account = await this.#finish(pool, brokers.length, signal.aborted ? 2000 : plan.run.drain);
    } catch (error) {
      failure ??= lost() ?? messageOf(error);
    }
    await this.#keepCredentials(pool, credentials).catch((error: unknown) => {
      log.warn({ err: error }, 'the certificates could not be kept');
    });
    clearInterval(ticking);
    this.#board.turn(epochNow());
    const report = reportOf({
      plan,
      seed: this.#seed,
      run: this.#run,
      startedAtMs: this.#startedAtMs,
      durationMs: epochNow() - this.#startMs,
      stats: this.#board,
      fleet: this.#fleet,
      planned: this.#roster.size,
      account: account ?? settleAccount([], [], this.#board.totals),
      phases,
      brokerAddress: addresses.map(({ host, port }) => `${host}:${port}`).join(', '),
      workers,
      idleRssBytes: this.#idleRssBytes,
      peakOnline: this.#peakOnline,
      aborted: signal.aborted,
      failure,
      notes: this.#notes(account),
    });
    await pool.dismiss(goodbyeMs);
    const gone = plan.run.removeDevices
      ? this.#roster.numbersOf().map((number) => this.#roster.idOf(number))
      : [];
    await credentials.cleanUp(gone).catch((error: unknown) => {
      log.warn({ err: error }, 'not everything could be removed from the registry');
    });
    return report;
  }

  #workers(): number {
    const { workers, agents } = this.#plan.run;
    if (agents.length > 0) return (workers ?? 0) + agents.length;
    const enough = Math.ceil(this.#roster.size / devicesPerWorkerMin);
    return workers ?? Math.max(1, Math.min(availableParallelism(), enough));
  }

  async #hire(
    workers: number,
    brokers: readonly BrokerAddress[],
    credentials: RunCredentials,
    sourceAddresses: readonly string[],
  ): Promise<WorkerPool> {
    const plan = this.#plan;
    const open = this.#deps.inProcess === true ? localChannel : forkedChannel;
    const hub = await this.#agentHub(brokers, credentials);
    const local = workers - plan.run.agents.length;
    const carriers = [
      ...Array.from({ length: local }, (_item, index) => this.#hand(open(`worker ${index + 1}`))),
      ...(hub === undefined ? [] : plan.run.agents.map((agent) => this.#hand(hub.port(agent)))),
    ];
    const shifts = await this.#clockShifts(carriers.slice(local));
    const small = local > 0 && this.#roster.size <= smallFleetMax;
    const observers = Array.from({ length: plan.run.observers * brokers.length }, (_item, index) =>
      small && index === 0 && carriers[0] !== undefined
        ? carriers[0]
        : this.#hand(open(`observer ${index + 1}`)),
    );
    const pool = new WorkerPool(carriers, observers, brokers.length);
    this.#lifecycle.add('workers', () => pool.dismiss(goodbyeMs));
    const setup = {
      plan,
      seed: this.#seed,
      run: this.#run,
      brokers,
      enroll: credentials.enroll,
      sourceAddresses,
    };
    await Promise.all(
      pool.all().map((hand) => {
        const index = carriers.indexOf(hand);
        const shard =
          index === -1 ? { index: this.#roster.size, of: 1 } : { index, of: carriers.length };
        return hand.call('setup', { ...setup, shard, clockShiftMs: shifts.get(hand) ?? 0 });
      }),
    );
    await pool.everyone('flush', {});
    this.#carriers = carriers;
    this.#idleRssBytes = this.#board.rssBytes(carriers);
    const filters = observedFilters(plan);
    for (const [index, hand] of observers.entries()) {
      const name = `sim-observer-${this.#run}-${index + 1}`;
      const { key, chain, name: own } = await credentials.observer(name);
      const where = {
        filters,
        client: plan.run.observerClient,
        broker: index % brokers.length,
      };
      try {
        await hand.call('observe', { name, key, chain, ...where });
      } catch (error) {
        // Some brokers allow no other client id than the name in the certificate.
        if (own === undefined || !(error instanceof LinkError)) throw error;
        await hand.call('observe', { name: own, key, chain, ...where });
      }
    }
    return pool;
  }

  /** The way to the agents that the plan names; undefined when it names none. */
  async #agentHub(
    [broker]: readonly BrokerAddress[],
    credentials: RunCredentials,
  ): Promise<AgentHub | undefined> {
    const { agents } = this.#plan.run;
    if (agents.length === 0 || broker === undefined) return undefined;
    if (credentials.api === undefined) {
      throw new FlotillaError('sim-phase-unsupported', {
        detail: 'agents enroll their devices themselves',
      });
    }
    const name = `sim-controller-${this.#run}`;
    const hub = new AgentHub(name, await credentials.observer(name), broker);
    this.#lifecycle.add('agents', () => hub.close());
    await hub.start(agents);
    return hub;
  }

  /** By how much the clocks of agents are off, from the quickest of a few questions. */
  async #clockShifts(agents: readonly WorkerHandle[]): Promise<Map<WorkerHandle, number>> {
    const shifts = new Map<WorkerHandle, number>();
    for (const hand of agents) {
      let best = Infinity;
      for (let question = 0; question < 5; question++) {
        const askedMs = epochNow();
        const answer = await Promise.race([hand.call('clock', {}), delay(agentPatienceMs)]);
        const answeredMs = epochNow();
        if (answer === undefined) {
          for (const agent of agents) agent.giveUp('it does not answer');
          throw new FlotillaError('sim-agent-missing', { detail: hand.port.label });
        }
        if (answeredMs - askedMs >= best) continue;
        best = answeredMs - askedMs;
        shifts.set(hand, (askedMs + answeredMs) / 2 - answer.atMs);
      }
      const shiftMs = Math.round(shifts.get(hand) ?? 0);
      this.#remarks.push(
        `${hand.port.label}: its clock is ${Math.abs(shiftMs)} ms ${shiftMs > 0 ? 'behind' : 'ahead'}, known within ${(best / 2).toFixed(1)} ms`,
      );
    }
    return shifts;
  }

  #hand(open: OpenChannel): WorkerHandle {
    const hand: WorkerHandle = new WorkerHandle(
      open,
      (tick) => {
        this.#board.take(hand, tick);
        const { online } = this.#board.states();
        if (online < this.#peakOnline.devices) return;
        this.#peakOnline.devices = online;
        this.#peakOnline.rssBytes = this.#board.rssBytes(this.#carriers);
      },
      (error) => this.#lost.abort(error),
    );
    return hand;
  }

  async #phases(
    pool: WorkerPool,
    brokers: readonly BrokerAddress[],
    credentials: RunCredentials,
  ): Promise<PhaseReport[]> {
    const reports: PhaseReport[] = [];
    const phases = phasesOf(this.#plan);
    for (const step of this.#plan.phases.keys()) {
      if (this.#stop.aborted) break;
      await Promise.all(
        phases
          .filter((phase) => phase.step === step)
          .map(async ({ name, spec }) => {
            reports.push(await this.#phase(name, spec, pool, brokers, credentials));
          }),
      );
    }
    return reports;
  }

  async #phase(
    name: string,
    spec: PhaseSpec,
    pool: WorkerPool,
    brokers: readonly BrokerAddress[],
    { api, keeper }: RunCredentials,
  ): Promise<PhaseReport> {
    const sinceMs = epochNow() - this.#startMs;
    const part = this.#board.open();
    this.#running.set(name, { sinceMs, ofMs: 'duration' in spec ? spec.duration : undefined });
    this.#tell('phase-start', `${name} begins`);
    const work = runPhase(spec, {
      name,
      plan: this.#plan,
      seed: this.#seed,
      run: this.#run,
      roster: this.#roster,
      pool,
      brokers,
      api,
      keeper,
      stats: this.#board,
      fleet: this.#fleet,
      log: this.#deps.log,
      signal: this.#stop,
    });
    let outcome: PhaseOutcome | undefined;
    let fault: unknown;
    try {
      outcome = await unlessAborted(work, this.#stop);
    } catch (error) {
      fault = error;
    }
    const durationMs = epochNow() - this.#startMs - sinceMs;
    await pool.everyone('flush', {}).catch(() => undefined);
    part.close();
    this.#running.delete(name);
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
    const said = report.evidence.join('; ');
    this.#tell('phase-end', `${name} ${report.verdict ?? 'done'}${said === '' ? '' : `: ${said}`}`);
    return report;
  }

  /** Waits for what is under way, then collects and settles the accounts. */
  async #finish(pool: WorkerPool, brokers: number, drainMs: number): Promise<Account> {
    await pool.everyone('halt', {});
    await pool.everyone('settle', { timeoutMs: Math.min(drainMs, settleMaxMs) });
    const endMs = performance.now() + drainMs;
    for (;;) {
      await pool.everyone('flush', {});
      const { devices, observers } = await collectAccounts(pool);
      const account = settleAccount(devices, observers, this.#board.totals, brokers);
      const complete = account.telemetry.lost === 0 && account.commands.lost === 0;
      if (complete || performance.now() >= endMs) return account;
      await delay(200);
    }
  }

  /** What is kept must be what devices hold now, and nothing that a drill revoked. */
  async #keepCredentials(pool: WorkerPool, { keeper }: RunCredentials): Promise<void> {
    const { retired, joined } = this.#fleet;
    if (retired.size > 0) {
      await keeper.forget(new Set([...retired].map((device) => this.#roster.idOf(device))));
    }
    const renewed = this.#board.totals.counter('renewed') > 0;
    if (!this.#plan.run.keep || !renewed || this.#plan.run.agents.length > 0) return;
    await keepCredentials(
      [...joined].filter((device) => !retired.has(device)),
      { pool, keeper },
    );
  }

  #notes(account: Account | undefined): string[] {
    const id = (device: number): string => this.#roster.idOf(device);
    return [
      ...this.#remarks,
      ...(account?.losses ?? []).map(
        ({ device, ranges }) => `${id(device)} lost ${ranges.join('-')}`,
      ),
      ...[...this.#fleet.failed].map(([device, reason]) => `${id(device)} failed: ${reason}`),
    ].slice(0, notesMax);
  }

  #second(): void {
    this.#board.turn(epochNow());
    this.#tell('second');
  }

  #tell(kind: Progress['kind'], text = ''): void {
    const { totals, columns } = this.#board;
    const count = (name: CounterName): number => totals.counter(name);
    this.#deps.progress({
      kind,
      atMs: epochNow() - this.#startMs,
      plan: this.#plan.name,
      seed: this.#seed,
      phases: [...this.#running].map(([name, { sinceMs, ofMs }]) => ({ name, sinceMs, ofMs })),
      planned: this.#roster.size,
      connectedEver: this.#board.everOnline(),
      states: this.#board.states(),
      second: columns.at(-1),
      totals: {
        enrolled: count('enrolled'),
        published: count('published'),
        acknowledged: count('acknowledged'),
        delivered: count('delivered') + count('commandsDelivered'),
        duplicated: count('duplicated') + count('commandsDuplicated'),
        misdelivered: count('misdelivered') + count('commandsMisdelivered'),
      },
      errors: totals.errors(),
      text,
    });
  }
}

/** What the observers listen to: told, or made of the topics of the fleet. */
function observedFilters(plan: Plan): string[] {
  if (plan.run.observe !== undefined) return plan.run.observe;
  const topics = plan.fleet.flatMap(({ publish }) => publish.map(({ topic }) => filterFor(topic)));
  const replies = phasesOf(plan).some(({ spec }) => spec.phase === 'command-roundtrip');
  return [...new Set([...topics, ...(replies ? ['devices/+/replies'] : [])])];
}

/** Rejects as soon as the signal aborts, whatever the work does; its own failure is then unheard. */
function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(new Error('ended before its time'));
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}
