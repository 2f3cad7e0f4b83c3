/**
 * What is acknowledged at one node is visible at all others at once:
 *
 * - `retained`: a retained message is published at A; after its PUBACK, a SUBSCRIBE at B gets it.
 * - `suback`: a client subscribes at A; after its SUBACK, what is published at B reaches it.
 *
 * Several pairs of clients do it at the same time. Each pair connects to other nodes after some rounds.
 *
 * @module
 */
import type { BenchNodes } from './bench-nodes.ts';
import { waitFor } from './bounded-wait.ts';
import { PacketClient } from './packet-client.ts';
import { oneOf, type Scenario, type ScenarioPlan } from './scenario.ts';
import { spreadOf } from './spread.ts';

const pairCount = 16;
const roundsPerConnection = 50;
const topicsPerPair = 20;
/** A message that has not arrived by then is missing. */
const arrivalMaxMs = 20_000;

/** A publisher and a subscriber, at two nodes. */
interface Pair {
  readonly name: string;
  readonly publisher: PacketClient;
  readonly subscriber: PacketClient;
  /** The first text of each topic since its entry was deleted. */
  readonly received: Map<string, string>;
}

/** @returns what was wrong, and the time until the message arrived */
type Round = (pair: Pair, round: number) => Promise<{ fault?: string; tookMs: number }>;

const retained: Round = async (pair, round) => {
  const { name, publisher, subscriber, received } = pair;
  const topic = `devices/${name}/retained/${round % topicsPerPair}`;
  const text = `${round}`;
  received.delete(topic);
  await publisher.publish(topic, text, round % 3 === 0 ? 2 : 1, true);
  const startMs = performance.now();
  await subscriber.subscribe(topic, 1);
  const found = await arrived(received, topic, text);
  const tookMs = performance.now() - startMs;
  await subscriber.unsubscribe(topic);
  return found ? { tookMs } : { tookMs, fault: `not ${text} but ${received.get(topic)}` };
};

const suback: Round = async (pair, round) => {
  const { name, publisher, subscriber, received } = pair;
  const topic = `devices/${name}/suback/${round}`;
  // Some filters with wildcards.
  const filter = round % 4 === 0 ? `devices/${name}/+/${round}` : topic;
  await subscriber.subscribe(filter, 1);
  const startMs = performance.now();
  await publisher.publish(topic, 'x', round % 3 === 0 ? 2 : 1);
  const found = await arrived(received, topic, 'x');
  const tookMs = performance.now() - startMs;
  await subscriber.unsubscribe(filter);
  received.delete(topic);
  return found ? { tookMs } : { tookMs, fault: 'missed' };
};

export const visibilityRounds: Readonly<Record<string, Scenario>> = {
  retained: visible(retained),
  suback: visible(suback),
};

function visible(one: Round): Scenario {
  return async (plan) => {
    const nodes = await plan.start();
    const violations: string[] = [];
    const tooksMs: number[] = [];
    let next = 0;
    const work = async (index: number): Promise<void> => {
      while (next < plan.rounds) {
        const { pair, where } = await connectPair(plan, nodes, index);
        for (let count = 0; count < roundsPerConnection && next < plan.rounds; count++) {
          const round = next++;
          const { fault, tookMs } = await one(pair, round).catch((error: unknown) => ({
            ...{ fault: String(error), tookMs: 0 },
          }));
          if (!pair.publisher.isOpen || !pair.subscriber.isOpen) {
            violations.push(`round ${round}, ${where}: a connection was closed`);
            break;
          }
          tooksMs.push(tookMs);
          if (fault !== undefined) {
            violations.push(`round ${round}, ${where}: ${fault}`);
            plan.report(violations.at(-1) ?? '');
          }
          if (round % 500 === 499) {
            plan.report(`${round + 1} rounds, ${violations.length} violations`);
          }
        }
        pair.publisher.leave();
        pair.subscriber.leave();
      }
    };
    try {
      await Promise.all(Array.from({ length: pairCount }, (_, index) => work(index)));
      return {
        violations: [...violations, ...nodes.faults],
        figures: { arrivalMs: spreadOf(tooksMs) },
      };
    } finally {
      await nodes.close();
    }
  };
}

async function connectPair(
  { clients, devices, random }: ScenarioPlan,
  nodes: BenchNodes,
  index: number,
): Promise<{ readonly pair: Pair; readonly where: string }> {
  // Pairs never share an identity at the same time.
  const perPair = Math.floor(devices / pairCount);
  if (perPair < 1) throw new Error(`at least ${pairCount} devices are needed`);
  const name = `device-${index * perPair + Math.floor(random() * perPair)}`;
  const service = `service-${index + pairCount * Math.floor(random() * 2)}`;
  const received = new Map<string, string>();
  const [at, other] = [oneOf(nodes.running, random), oneOf(nodes.running, random)];
  const publisher = await PacketClient.connect(at.target, {
    ...{ context: clients.context(name), clientId: name, clean: true },
  });
  const subscriber = await PacketClient.connect(other.target, {
    ...{ context: clients.context(service), clientId: service, clean: true },
    received: (topic, text) => {
      if (!received.has(topic)) received.set(topic, text);
    },
  });
  const where = `${name} at ${at.name}, ${service} at ${other.name}`;
  return { pair: { name, publisher, subscriber, received }, where };
}

async function arrived(
  received: ReadonlyMap<string, string>,
  topic: string,
  text: string,
): Promise<boolean> {
  return waitFor(topic, () => received.get(topic) === text, arrivalMaxMs, undefined, 1).then(
    () => true,
    () => false,
  );
}
