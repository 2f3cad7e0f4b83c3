/**
 * A shared subscription whose members are connected to all nodes: the members get about the same number of messages, and
 * each message has one receiver. Then nodes are killed: nothing that was acknowledged is lost.
 *
 * @module
 */
import { setTimeout as pause } from 'node:timers/promises';
import { ExactClient } from '../kill/exact-client.ts';
import type { LoadTarget } from '../load/load-client.ts';
import type { BenchNodes } from './bench-nodes.ts';
import { waitFor, waitWhileActive } from './bounded-wait.ts';
import { DeliveryLedger } from './delivery-ledger.ts';
import { sharedViolationsOf } from './ledger-check.ts';
import { RoamingClients } from './roaming-clients.ts';
import { oneOf, type Scenario, type ScenarioPlan } from './scenario.ts';

const memberCount = 9;
const publisherCount = 9;
const balancedMessages = 5400;
const outstandingMax = 20;
const unbalancedMax = 0.2;
const silenceMaxMs = 60_000;
const filter = '$share/group/devices/+/shared/#';

interface Publisher {
  readonly client: ExactClient;
  readonly topics: readonly { readonly topic: string; readonly qos: 1 | 2 }[];
}

interface Group {
  readonly ledger: DeliveryLedger;
  readonly members: readonly ExactClient[];
  readonly memberNames: readonly string[];
  readonly publishers: readonly Publisher[];
}

export const sharedRounds: Scenario = async (plan) => {
  const nodes = await plan.start();
  const group = groupOf(plan);
  const { ledger, members, publishers } = group;
  const all = [...members, ...publishers.map(({ client }) => client)];
  const violations: string[] = [];
  let roaming: RoamingClients | undefined;
  try {
    await connectGroup(group, nodes);
    const targets = (): readonly LoadTarget[] => nodes.running.map(({ target }) => target);
    roaming = new RoamingClients(all, targets, plan.random);
    // Balance, without disturbance.
    for (let count = 0; count < balancedMessages; count++) {
      const publisher = publishers[count % publishers.length];
      if (publisher === undefined) break;
      await waitFor('room', () => publisher.client.outstanding < outstandingMax, silenceMaxMs);
      publishTo(group, publisher, count % 2);
      if (count % 50 === 0) await pause(5);
    }
    if (!(await complete(group))) violations.push('not all messages arrived without a disturbance');
    const counts = countsOf(group);
    const shares = [...counts.values()].map((count) => (count * memberCount) / balancedMessages);
    if (shares.some((share) => Math.abs(share - 1) > unbalancedMax)) {
      violations.push(`not balanced: ${JSON.stringify(Object.fromEntries(counts))}`);
    }
    plan.report(`messages of each member: ${JSON.stringify(Object.fromEntries(counts))}`);
    const balanced = ledger.streams.flatMap((stream) => {
      const total = [...stream.received.values()].flat();
      return total.length > new Set(total).size ? [`more than one receiver: ${stream.topic}`] : [];
    });
    violations.push(...balanced);
    await killUnderLoad(plan, nodes, group, roaming);
    await complete(group);
    for (const stream of ledger.streams) {
      const { lost, twice } = sharedViolationsOf(stream);
      violations.push(...lost.map((text) => `lost: ${text}`));
      violations.push(...twice.map((text) => `twice: ${text}`));
    }
    const sessionsLost = members.reduce((sum, one) => sum + one.sessionsLost, 0);
    if (sessionsLost > 0) violations.push(`${sessionsLost} sessions were lost`);
    violations.push(...ledger.unexpected.map((text) => `unexpected: ${text}`));
    return {
      violations: [...violations, ...nodes.faults],
      figures: {
        acknowledged: ledger.acknowledged,
        smallestShare: Math.min(...shares),
        largestShare: Math.max(...shares),
      },
    };
  } finally {
    roaming?.close();
    for (const one of all) one.drop();
    await nodes.close();
  }
};

function groupOf({ clients }: ScenarioPlan): Group {
  const ledger = new DeliveryLedger();
  const memberNames = Array.from({ length: memberCount }, (_, index) => `service-${index}`);
  const client = (name: string): ExactClient =>
    new ExactClient({
      ...{ context: clients.context(name), clientId: name },
      completed: ledger.acknowledge,
      received: (topic, text) => ledger.receive(name, topic, text),
    });
  const members = memberNames.map(client);
  const publishers = Array.from({ length: publisherCount }, (_, index): Publisher => {
    const name = `device-${index}`;
    const topics = ([1, 2] as const).map((qos) => ({
      topic: `devices/${name}/shared/${qos}`,
      qos,
    }));
    for (const { topic, qos } of topics) ledger.add(topic, qos, memberNames);
    return { client: client(name), topics };
  });
  return { ledger, members, memberNames, publishers };
}

/** Each node has the same number of members, as far as possible. */
async function connectGroup({ members, publishers }: Group, nodes: BenchNodes): Promise<void> {
  const connect = async (client: ExactClient, index: number): Promise<void> => {
    const node = nodes.running[index % nodes.running.length];
    if (node === undefined) throw new Error('no node runs');
    await client.connect(node.target);
  };
  for (const [index, member] of members.entries()) {
    await connect(member, index);
    await member.subscribe(filter, 2);
  }
  for (const [index, { client }] of publishers.entries()) await connect(client, index + 1);
}

async function killUnderLoad(
  plan: ScenarioPlan,
  nodes: BenchNodes,
  group: Group,
  roaming: RoamingClients,
): Promise<void> {
  const { random } = plan;
  const timer = setInterval(() => {
    const publisher = oneOf(group.publishers, random);
    if (publisher.client.outstanding < outstandingMax) {
      publishTo(group, publisher, random() < 0.5 ? 0 : 1);
    }
  }, 5);
  try {
    for (let round = 0; round < plan.rounds; round++) {
      await pause(500 + random() * 1500);
      const node = oneOf(nodes.running, random);
      await node.kill();
      await pause(random() * 4000);
      await node.start();
      await nodes.settled();
      await waitFor('all clients', () => roaming.areConnected);
      plan.report(`kill ${round + 1}: ${group.ledger.acknowledged} acknowledged`);
    }
  } finally {
    clearInterval(timer);
  }
}

function publishTo({ ledger }: Group, { client, topics }: Publisher, which: number): void {
  const stream = topics[which];
  if (stream === undefined) return;
  client.publish(stream.topic, ledger.publish(stream.topic), stream.qos);
}

/** Waits until all messages are acknowledged and received by anyone. */
function complete({ ledger, publishers }: Group): Promise<boolean> {
  return waitWhileActive(
    () =>
      publishers.every(({ client }) => client.outstanding === 0) &&
      ledger.streams.every((stream) => sharedViolationsOf(stream).lost.length === 0),
    () => ledger.progress,
    silenceMaxMs,
  );
}

/** How many messages each member received. */
function countsOf({ ledger, memberNames }: Group): ReadonlyMap<string, number> {
  const counts = new Map(memberNames.map((name) => [name, 0]));
  for (const { received } of ledger.streams) {
    for (const [name, numbers] of received) {
      counts.set(name, (counts.get(name) ?? 0) + numbers.length);
    }
  }
  return counts;
}
