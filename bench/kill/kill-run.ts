/**
 * Kills a broker (`kill -9`) again and again under QoS 1 and 2 load, and checks every message.
 *
 * @module
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { BenchBroker } from '../brokers.ts';
import type { Clients } from '../clients.ts';
import { ExactLoad, type Ledger } from './exact-load.ts';

export interface KillPlan {
  readonly kills: number;
  /** The load runs for a random time between these before each kill, in ms. */
  readonly lifeMinMs: number;
  readonly lifeMaxMs: number;
  /** Starts the broker on the same state and port. */
  readonly start: () => Promise<BenchBroker>;
  readonly clients: Clients;
  readonly random: () => number;
  /** Called with a line of text after each kill. */
  readonly report: (line: string) => void;
}

export interface KillResult extends Ledger {
  readonly kills: number;
  /** From the start of the process to its first line, in ms. */
  readonly restartMaxMs: number;
}

export async function runKills(plan: KillPlan): Promise<KillResult> {
  const run = new KillRun(plan);
  try {
    return await run.run();
  } finally {
    await run.close();
  }
}

class KillRun {
  readonly #plan: KillPlan;
  readonly #load: ExactLoad;
  #restartMaxMs = 0;
  #broker: BenchBroker | undefined;

  constructor(plan: KillPlan) {
    this.#plan = plan;
    this.#load = new ExactLoad(plan.clients);
  }

  async run(): Promise<KillResult> {
    const { kills, lifeMinMs, lifeMaxMs, random, report } = this.#plan;
    const load = this.#load;
    let broker = await this.#start();
    await load.begin(broker.target);
    for (let kill = 1; kill <= kills; kill++) {
      load.isOn = true;
      await delay(lifeMinMs + random() * (lifeMaxMs - lifeMinMs));
      await broker.kill();
      load.isOn = false;
      load.drop();
      broker = await this.#start();
      await load.connect(broker.target);
      report(`kill ${kill}: ${load.acknowledged} acknowledged, ${load.delivered} delivered`);
    }
    const ledger = await load.settle(broker.target);
    return { kills, ...ledger, restartMaxMs: this.#restartMaxMs };
  }

  async close(): Promise<void> {
    this.#load.close();
    await this.#broker?.kill();
  }

  async #start(): Promise<BenchBroker> {
    const startMs = performance.now();
    const broker = await this.#plan.start();
    this.#broker = broker;
    this.#restartMaxMs = Math.max(this.#restartMaxMs, performance.now() - startMs);
    return broker;
  }
}
