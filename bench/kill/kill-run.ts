/**
 * A broker that is killed (`kill -9`) again and again under QoS 1 and 2 load, and what came of every
 * message.
 *
 * Four devices publish numbered messages, QoS 1 and 2 in turn. One subscriber is there all the
 * time, one subscribed and went away: its queue is read at the end.
 *
 * @module
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { RunningBroker } from '../brokers.ts';
import type { Clients } from '../clients.ts';
import { ExactClient } from './exact-client.ts';

export interface KillPlan {
  readonly kills: number;
  /** How long the load runs before each kill, in ms: at random between these. */
  readonly lifeMinMs: number;
  readonly lifeMaxMs: number;
  /** Starts the broker on the same state and port. */
  readonly start: () => Promise<RunningBroker>;
  readonly clients: Clients;
  readonly random: () => number;
  readonly say: (line: string) => void;
}

export interface KillResult {
  readonly kills: number;
  /** Messages acknowledged to their publishers, to the end. */
  readonly acknowledged: number;
  readonly deliveries: number;
  /** Acknowledged, and not delivered to one of the subscribers. */
  readonly lost: readonly string[];
  /** QoS 2 messages delivered more than once. */
  readonly duplicatedQos2: readonly string[];
  /** Allowed, and the price of at least once. */
  readonly duplicatedQos1: number;
  /** QoS 2 messages that came before one that was published earlier by the same device. */
  readonly outOfOrderQos2: number;
  readonly sessionsLost: number;
  /** From the start of the process to its first line, in ms. */
  readonly restartMaxMs: number;
}

const publisherCount = 4;
const outstandingMax = 20;

/** What one subscriber saw. */
class Witness {
  readonly #counts = new Map<string, number>();
  readonly #last = new Map<string, number>();
  deliveries = 0;
  outOfOrder = 0;
  lastAtMs = 0;

  readonly take = (topic: string, text: string, qos: number): void => {
    this.deliveries++;
    this.lastAtMs = performance.now();
    this.#counts.set(text, (this.#counts.get(text) ?? 0) + 1);
    if (qos !== 2) return;
    const number = Number(text.slice(text.lastIndexOf('-') + 1));
    if (number < (this.#last.get(topic) ?? 0)) this.outOfOrder++;
    this.#last.set(topic, number);
  };

  times(text: string): number {
    return this.#counts.get(text) ?? 0;
  }
}

export async function runKills(plan: KillPlan): Promise<KillResult> {
  const { clients, say } = plan;
  const acknowledged = new Set<string>();
  const present = new Witness();
  const away = new Witness();
  const client = (name: string, clientId: string, witness?: Witness): ExactClient =>
    new ExactClient({
      context: clients.context(name),
      clientId,
      completed: (text) => acknowledged.add(text),
      ...(witness === undefined ? {} : { received: witness.take }),
    });
  const publishers = Array.from({ length: publisherCount }, (_, index) =>
    client(`device-${index}`, `device-${index}`),
  );
  const subscriber = client('service-0', 'service-0/present', present);
  const absent = client('service-1', 'service-1/away', away);
  const sent = publishers.map(() => 0);
  let loading = false;
  const load = setInterval(() => {
    if (!loading) return;
    for (const [index, publisher] of publishers.entries()) {
      while (publisher.outstanding < outstandingMax) {
        const number = ++sent[index]!;
        const qos = number % 2 === 0 ? 2 : 1;
        publisher.publish(
          `devices/device-${index}/q${qos}`,
          `device-${index}-q${qos}-${number}`,
          qos,
        );
      }
    }
  }, 1);
  let restartMaxMs = 0;
  let broker: RunningBroker | undefined;
  const begin = async (): Promise<RunningBroker> => {
    const startMs = performance.now();
    broker = await plan.start();
    restartMaxMs = Math.max(restartMaxMs, performance.now() - startMs);
    const { target } = broker;
    await Promise.all([subscriber, ...publishers].map((one) => one.connect(target)));
    return broker;
  };
  try {
    const { target } = await begin();
    await subscriber.subscribe('devices/#', 2);
    await absent.connect(target);
    await absent.subscribe('devices/#', 2);
    absent.leave();
    for (let kill = 1; kill <= plan.kills; kill++) {
      loading = true;
      await delay(plan.lifeMinMs + plan.random() * (plan.lifeMaxMs - plan.lifeMinMs));
      await broker?.kill();
      loading = false;
      for (const one of [subscriber, ...publishers]) one.drop();
      await begin();
      say(`kill ${kill}: ${acknowledged.size} acknowledged, ${present.deliveries} delivered`);
    }
    // What is on its way comes to its end.
    await settled(() => publishers.every(({ outstanding }) => outstanding === 0));
    const all = [...acknowledged];
    await settled(() => all.every((text) => present.times(text) > 0), 5000);
    if (broker !== undefined) await absent.connect(broker.target);
    await settled(() => all.every((text) => away.times(text) > 0), 30_000);
    // Duplicates, if there are any, come late.
    await delay(300);
    const twice = (text: string): boolean => present.times(text) > 1 || away.times(text) > 1;
    return {
      kills: plan.kills,
      acknowledged: all.length,
      deliveries: present.deliveries + away.deliveries,
      lost: all.filter((text) => present.times(text) === 0 || away.times(text) === 0),
      duplicatedQos2: all.filter((text) => text.includes('-q2-') && twice(text)),
      duplicatedQos1: all.filter((text) => text.includes('-q1-') && twice(text)).length,
      outOfOrderQos2: present.outOfOrder + away.outOfOrder,
      sessionsLost: [subscriber, absent, ...publishers].reduce(
        (sum, one) => sum + one.sessionsLost,
        0,
      ),
      restartMaxMs,
    };
  } finally {
    clearInterval(load);
    for (const one of [subscriber, absent, ...publishers]) one.drop();
    await broker?.kill();
  }
}

async function settled(done: () => boolean, timeoutMs = 10_000): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  while (!done() && performance.now() < deadlineMs) await delay(20);
}
