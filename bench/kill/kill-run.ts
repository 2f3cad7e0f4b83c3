/**
 * Kills a broker (`kill -9`) again and again under QoS 1 and 2 load, and checks every message.
 *
 * Four devices publish numbered messages with QoS 1 and 2 alternately. One subscriber is connected
 * all the time. Another one subscribes and disconnects; its queue is read at the end.
 *
 * @module
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { BenchBroker } from '../brokers.ts';
import type { Clients } from '../clients.ts';
import { ExactClient } from './exact-client.ts';

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

export interface KillResult {
  readonly kills: number;
  /** Messages whose acknowledgement the publisher received completely. */
  readonly acknowledged: number;
  readonly deliveries: number;
  /** Acknowledged messages that a subscriber did not receive. */
  readonly lost: readonly string[];
  /** QoS 2 messages delivered more than once. */
  readonly duplicatedQos2: readonly string[];
  /** Allowed: QoS 1 means at least once. */
  readonly duplicatedQos1: number;
  /** QoS 2 messages that were delivered before an earlier one of the same device. */
  readonly outOfOrderQos2: number;
  readonly sessionsLost: number;
  /** From the start of the process to its first line, in ms. */
  readonly restartMaxMs: number;
}

const publisherCount = 4;
const outstandingMax = 20;

/** The messages that one subscriber received. */
class DeliveryLog {
  readonly #counts = new Map<string, number>();
  readonly #last = new Map<string, number>();
  deliveries = 0;
  outOfOrder = 0;

  readonly add = (topic: string, text: string, qos: number): void => {
    this.deliveries++;
    this.#counts.set(text, (this.#counts.get(text) ?? 0) + 1);
    if (qos !== 2) return;
    const number = Number(text.slice(text.lastIndexOf('-') + 1));
    if (number < (this.#last.get(topic) ?? 0)) this.outOfOrder++;
    this.#last.set(topic, number);
  };

  count(text: string): number {
    return this.#counts.get(text) ?? 0;
  }
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
  readonly #acknowledged = new Set<string>();
  readonly #present = new DeliveryLog();
  readonly #away = new DeliveryLog();
  readonly #publishers: readonly ExactClient[];
  readonly #subscriber: ExactClient;
  readonly #absent: ExactClient;
  readonly #load: NodeJS.Timeout;
  readonly #sent: number[];
  #loading = false;
  #restartMaxMs = 0;
  #broker: BenchBroker | undefined;

  constructor(plan: KillPlan) {
    this.#plan = plan;
    this.#publishers = Array.from({ length: publisherCount }, (_, index) =>
      this.#client(`device-${index}`, `device-${index}`),
    );
    this.#subscriber = this.#client('service-0', 'service-0/present', this.#present);
    this.#absent = this.#client('service-1', 'service-1/away', this.#away);
    this.#sent = this.#publishers.map(() => 0);
    this.#load = setInterval(() => this.#publish(), 1);
  }

  async run(): Promise<KillResult> {
    const { kills, lifeMinMs, lifeMaxMs, random, report } = this.#plan;
    const { target } = await this.#start();
    await this.#subscriber.subscribe('devices/#', 2);
    await this.#absent.connect(target);
    await this.#absent.subscribe('devices/#', 2);
    this.#absent.leave();
    for (let kill = 1; kill <= kills; kill++) {
      this.#loading = true;
      await delay(lifeMinMs + random() * (lifeMaxMs - lifeMinMs));
      await this.#broker?.kill();
      this.#loading = false;
      for (const one of [this.#subscriber, ...this.#publishers]) one.drop();
      await this.#start();
      report(
        `kill ${kill}: ${this.#acknowledged.size} acknowledged, ${this.#present.deliveries} delivered`,
      );
    }
    await this.#settle();
    return this.#result();
  }

  async close(): Promise<void> {
    clearInterval(this.#load);
    for (const one of [this.#subscriber, this.#absent, ...this.#publishers]) one.drop();
    await this.#broker?.kill();
  }

  #client(name: string, clientId: string, log?: DeliveryLog): ExactClient {
    return new ExactClient({
      context: this.#plan.clients.context(name),
      clientId,
      completed: (text) => this.#acknowledged.add(text),
      ...(log === undefined ? {} : { received: log.add }),
    });
  }

  /** Keeps the window of every publisher full while the load is on. */
  #publish(): void {
    if (!this.#loading) return;
    for (const [index, publisher] of this.#publishers.entries()) {
      while (publisher.outstanding < outstandingMax) {
        const number = ++this.#sent[index]!;
        const qos = number % 2 === 0 ? 2 : 1;
        publisher.publish(
          `devices/device-${index}/q${qos}`,
          `device-${index}-q${qos}-${number}`,
          qos,
        );
      }
    }
  }

  async #start(): Promise<BenchBroker> {
    const startMs = performance.now();
    const broker = await this.#plan.start();
    this.#broker = broker;
    this.#restartMaxMs = Math.max(this.#restartMaxMs, performance.now() - startMs);
    await Promise.all(
      [this.#subscriber, ...this.#publishers].map((one) => one.connect(broker.target)),
    );
    return broker;
  }

  /** Waits until all messages in flight are acknowledged and delivered. */
  async #settle(): Promise<void> {
    await settled(() => this.#publishers.every(({ outstanding }) => outstanding === 0));
    const all = [...this.#acknowledged];
    await settled(() => all.every((text) => this.#present.count(text) > 0), 5000);
    if (this.#broker !== undefined) await this.#absent.connect(this.#broker.target);
    await settled(() => all.every((text) => this.#away.count(text) > 0), 30_000);
    // Duplicates, if there are any, arrive late.
    await delay(300);
  }

  #result(): KillResult {
    const all = [...this.#acknowledged];
    const logs = [this.#present, this.#away];
    const isLost = (text: string): boolean => logs.some((log) => log.count(text) === 0);
    const isDuplicated = (text: string): boolean => logs.some((log) => log.count(text) > 1);
    return {
      kills: this.#plan.kills,
      acknowledged: all.length,
      deliveries: this.#present.deliveries + this.#away.deliveries,
      lost: all.filter(isLost),
      duplicatedQos2: all.filter((text) => text.includes('-q2-') && isDuplicated(text)),
      duplicatedQos1: all.filter((text) => text.includes('-q1-') && isDuplicated(text)).length,
      outOfOrderQos2: this.#present.outOfOrder + this.#away.outOfOrder,
      sessionsLost: [this.#subscriber, this.#absent, ...this.#publishers].reduce(
        (sum, one) => sum + one.sessionsLost,
        0,
      ),
      restartMaxMs: this.#restartMaxMs,
    };
  }
}

async function settled(done: () => boolean, timeoutMs = 10_000): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  while (!done() && performance.now() < deadlineMs) await delay(20);
}
