/**
 * Disturbs a pair of brokers with a database and its synchronous standby again and again under QoS 1 and 2 load, and
 * checks every message.
 *
 * - `kill`: `kill -9` of the active broker.
 * - `freeze`: stops its process for 1 to 20 s. After 10 s the standby takes over; then the former one must end.
 * - `database`: `kill -9` of the primary; its standby is promoted, and a new standby is made.
 * - `restart`: SIGTERM of the active broker, as in a rolling restart.
 *
 * @module
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { BenchBroker } from '../brokers.ts';
import type { Clients } from '../clients.ts';
import { ExactLoad, type Ledger } from '../kill/exact-load.ts';
import type { TwoMachines } from '../kill/two-machines.ts';
import type { LoadTarget } from '../load/load-client.ts';
import { ConnectProbe } from './connect-probe.ts';
import type { PostgresPair } from './postgres-pair.ts';
import { SteadyClients } from './steady-clients.ts';

export const nemeses = ['kill', 'freeze', 'database', 'restart'] as const;
export type Nemesis = (typeof nemeses)[number];

export interface FailoverPlan {
  /** What happens, in this order. */
  readonly rounds: readonly Nemesis[];
  readonly machines: TwoMachines;
  /** Where the brokers of both machines listen. */
  readonly targets: readonly LoadTarget[];
  readonly database: PostgresPair;
  readonly clients: Clients;
  readonly random: () => number;
  /** Called with a line of text after each round. */
  readonly report: (line: string) => void;
}

/** Times in ms; undefined where they do not apply. */
export interface FailoverRound {
  readonly nemesis: Nemesis;
  /** The longest time without an acknowledgement for any of the publishers together. */
  readonly stallMs: number;
  /** From the disturbance until the next broker listened. */
  readonly takeoverMs?: number | undefined;
  readonly frozenMs?: number;
  /** From its continuation until the former active broker had ended. */
  readonly fencedMs?: number | undefined;
  /** The longest time between two connections that succeeded. */
  readonly unreachableMs?: number;
  readonly promotedMs?: number;
  readonly redundantMs?: number;
}

export interface FailoverResult extends Ledger {
  readonly rounds: readonly FailoverRound[];
  /** Acknowledgements from a broker that was replaced, for what it had written before. */
  readonly lateAcknowledgements: number;
  /** What must not happen. */
  readonly faults: readonly string[];
}

const lifeMinMs = 300;
const lifeMaxMs = 1500;
const frozenMinMs = 1000;
const frozenMaxMs = 20_000;
/** For what takes seconds; the machine may be busy. */
const waitMaxMs = 180_000;
const checkMs = 20;

/** @throws Error when the brokers do not recover */
export async function runFailovers(plan: FailoverPlan): Promise<FailoverResult> {
  const active = await plan.machines.active();
  const load = new ExactLoad(plan.clients);
  try {
    await load.begin(active.target);
    return await new FailoverRun(plan, load, active).run();
  } finally {
    load.close();
  }
}

class FailoverRun {
  readonly #plan: FailoverPlan;
  readonly #load: ExactLoad;
  readonly #steady: SteadyClients;
  readonly #faults: string[] = [];
  #active: BenchBroker;
  #takeovers = 0;
  #tookOverAtMs = 0;
  /** Whether the active broker should end now. */
  #mayEnd = false;
  #isOver = false;

  constructor(plan: FailoverPlan, load: ExactLoad, active: BenchBroker) {
    this.#plan = plan;
    this.#load = load;
    this.#active = active;
    this.#steady = new SteadyClients(load.present, active.target);
  }

  async run(): Promise<FailoverResult> {
    const { rounds: names, random, report, machines } = this.#plan;
    const rounds: FailoverRound[] = [];
    const load = this.#load;
    machines.startStandby();
    const following = this.#follow();
    load.isOn = true;
    for (const [index, nemesis] of names.entries()) {
      await this.#redundant();
      await pause(lifeMinMs + random() * (lifeMaxMs - lifeMinMs));
      load.takeLongestSilenceMs();
      const found = await this.#disturb(nemesis);
      const round = { nemesis, stallMs: load.takeLongestSilenceMs(), ...found };
      rounds.push(round);
      report(`${index + 1} ${JSON.stringify(round, rounded)}; ${load.acknowledged} acknowledged`);
    }
    const ledger = await load.settle(this.#active.target);
    await this.#steady.close();
    this.#isOver = true;
    machines.close();
    await following;
    const { lateAcknowledgements } = load;
    return { rounds, ...ledger, lateAcknowledgements, faults: this.#faults };
  }

  async #disturb(nemesis: Nemesis): Promise<Partial<FailoverRound>> {
    if (nemesis === 'freeze') return this.#freeze();
    if (nemesis === 'database') return this.#failDatabase();
    return this.#replace(nemesis);
  }

  async #replace(nemesis: 'kill' | 'restart'): Promise<Partial<FailoverRound>> {
    const { clients, targets } = this.#plan;
    const context = clients.context('service-2');
    const probe = new ConnectProbe({ context, clientId: 'service-2/probe' }, targets);
    await pause(500);
    const before = this.#takeovers;
    const former = this.#active;
    const startMs = performance.now();
    this.#mayEnd = true;
    await (nemesis === 'kill' ? former.kill() : former.stop());
    await wait('a takeover', () => this.#takeovers > before);
    this.#mayEnd = false;
    await this.#works();
    const code = await former.exited;
    if (nemesis === 'restart' && code !== 0) this.#fault(`SIGTERM ended with ${code ?? 'kill'}`);
    return { takeoverMs: this.#tookOverAtMs - startMs, unreachableMs: await probe.close() };
  }

  async #freeze(): Promise<Partial<FailoverRound>> {
    const frozen = this.#active;
    const before = this.#takeovers;
    const frozenMs = frozenMinMs + this.#plan.random() * (frozenMaxMs - frozenMinMs);
    const startMs = performance.now();
    this.#mayEnd = true;
    const ended: { readonly atMs: number; readonly code: number | undefined }[] = [];
    void frozen.exited.then((code) => ended.push({ atMs: performance.now(), code }));
    process.kill(frozen.pid, 'SIGSTOP');
    await pause(frozenMs);
    process.kill(frozen.pid, 'SIGCONT');
    const thawedAtMs = performance.now();
    await this.#works();
    // A takeover may have been on its way.
    if (this.#takeovers === before) {
      this.#mayEnd = false;
      return { frozenMs };
    }
    await wait('the end of the fenced broker', () => ended.length > 0);
    this.#mayEnd = false;
    const [{ atMs, code } = { atMs: 0, code: undefined }] = ended;
    if (code !== 1) this.#fault(`the fenced broker ended with ${code ?? 'a signal'}`);
    return { frozenMs, takeoverMs: this.#tookOverAtMs - startMs, fencedMs: atMs - thawedAtMs };
  }

  async #failDatabase(): Promise<Partial<FailoverRound>> {
    const before = this.#takeovers;
    const times = await this.#plan.database.failover();
    await this.#works();
    if (this.#takeovers > before) this.#fault('the database failed over, and so did the broker');
    return times;
  }

  /** Notes takeovers, and starts the next standby as a service manager does. */
  async #follow(): Promise<void> {
    const { machines } = this.#plan;
    while (!this.#over()) {
      const next = await machines.active().catch(() => undefined);
      if (this.#over()) return;
      if (next === undefined) {
        this.#fault('the standby ended');
        machines.startStandby();
        continue;
      }
      if (!this.#mayEnd) this.#fault('a takeover without a reason');
      const former = this.#active;
      this.#active = next;
      this.#tookOverAtMs = performance.now();
      this.#steady.moveTo(next.target);
      this.#takeovers++;
      await former.exited;
      if (!this.#over()) machines.startStandby();
    }
  }

  #over(): boolean {
    return this.#isOver;
  }

  #fault(text: string): void {
    this.#faults.push(text);
    this.#plan.report(`FAULT ${text}`);
  }

  /** Waits until the standby waits. */
  #redundant(): Promise<void> {
    return wait('the standby', async () => (await this.#plan.database.brokers()) >= 2);
  }

  /** Waits until something is acknowledged that was not on its way before. */
  async #works(): Promise<void> {
    const { acknowledged } = this.#load;
    // More than all windows together.
    await wait('acknowledgements', () => this.#load.acknowledged > acknowledged + 100);
  }
}

async function wait(what: string, done: () => boolean | Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + waitMaxMs;
  while (!(await done())) {
    if (performance.now() > deadlineMs) throw new Error(`${what}: not in time`);
    await pause(checkMs);
  }
}

function rounded(_key: string, value: unknown): unknown {
  return typeof value === 'number' ? Math.round(value) : value;
}
