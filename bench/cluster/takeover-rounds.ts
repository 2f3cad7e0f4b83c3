/**
 * Three simultaneous CONNECTs of one client id at different nodes: after two seconds exactly one connection is open, it has
 * the session with its queue, and no will was published twice or for a connection that is open.
 *
 * @module
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { LoadTarget } from '../load/load-client.ts';
import type { BenchNodes } from './bench-nodes.ts';
import { waitFor } from './bounded-wait.ts';
import { PacketClient, type PacketClientOptions } from './packet-client.ts';
import { oneOf, type Scenario, type ScenarioPlan } from './scenario.ts';

const together = 8;
const simultaneous = 3;
const settleMs = 2000;
const queueMax = 200;
const sessionExpirySeconds = 3600;
const arrivalMaxMs = 60_000;

interface TakeoverRound {
  readonly number: number;
  readonly device: string;
  readonly isClean: boolean;
  readonly hasWill: boolean;
  /** Only a kept session has one. */
  readonly queued: number;
}

/** How often each will message arrived, by its text. */
type WillCounts = Map<string, number>;

export const takeoverRounds: Scenario = async (plan) => {
  const nodes = await plan.start();
  const violations: string[] = [];
  const wills: WillCounts = new Map();
  const targets = nodes.running.map(({ target }) => target);
  const watcher = await PacketClient.connect(oneOf(targets, plan.random), {
    ...clientOf(plan, 'service-0'),
    received: (_topic, text) => wills.set(text, (wills.get(text) ?? 0) + 1),
  });
  await watcher.subscribe('devices/+/will', 1);
  const commander = await PacketClient.connect(oneOf(targets, plan.random), {
    ...clientOf(plan, 'service-1'),
  });
  try {
    for (let first = 0; first < plan.rounds; first += together) {
      const count = Math.min(together, plan.rounds - first);
      const some = Array.from({ length: count }, (_, index) => roundOf(plan, first + index));
      const found = await Promise.all(
        some.map((round) => takeover(plan, nodes, commander, wills, round)),
      );
      violations.push(...found.flat());
      plan.report(`${first + count} rounds, ${violations.length} violations`);
    }
    await pause(settleMs);
    for (const [text, count] of wills) {
      if (count > 1) violations.push(`the will ${text} was published ${count} times`);
    }
    return {
      violations: [...violations, ...nodes.faults],
      figures: { willsPublished: wills.size },
    };
  } finally {
    watcher.drop();
    commander.drop();
    await nodes.close();
  }
};

function roundOf({ random, devices }: ScenarioPlan, number: number): TakeoverRound {
  const isClean = random() < 0.5;
  return {
    ...{ number, device: `device-${number % devices}`, isClean },
    hasWill: random() < 0.5,
    queued: !isClean && random() < 0.5 ? queueMax : 0,
  };
}

async function takeover(
  plan: ScenarioPlan,
  nodes: BenchNodes,
  commander: PacketClient,
  wills: WillCounts,
  round: TakeoverRound,
): Promise<string[]> {
  const { device, isClean, hasWill, number, queued } = round;
  const what = `round ${number}, ${JSON.stringify(round)}:`;
  const violations: string[] = [];
  const targets = nodes.running.map(({ target }) => target);
  const received = new Set<string>();
  const common = {
    ...clientOf(plan, device, isClean),
    received: (_topic: string, text: string) => received.add(text),
  };
  if (!isClean) await queue(oneOf(targets, plan.random), commander, common, round);
  const willOf = (index: number): string => `${number}-${index}`;
  const attempts = await Promise.allSettled(
    chosen(targets, plan.random).map((target, index) => {
      const will = { topic: `devices/${device}/will`, payload: willOf(index), delaySeconds: 0 };
      return PacketClient.connect(target, { ...common, ...(hasWill ? { will } : {}) });
    }),
  );
  await pause(settleMs);
  const clients = attempts.map((one) => (one.status === 'fulfilled' ? one.value : undefined));
  const pings = await Promise.all(clients.map(async (one) => (await one?.ping()) ?? false));
  const open = pings.filter(Boolean).length;
  if (open !== 1) violations.push(`${what} ${open} connections are open`);
  const survivor = clients[pings.indexOf(true)];
  if (survivor !== undefined) {
    const texts = Array.from({ length: queued }, (_, index) => `${number} ${index}`);
    const isComplete = (): boolean => texts.every((text) => received.has(text));
    await waitFor('the queue', isComplete, arrivalMaxMs).catch(() => {
      const missing = texts.filter((text) => !received.has(text));
      violations.push(`${what} ${missing.length} queued messages are missing: ${missing[0]}`);
    });
    if (!isClean && !survivor.sessionPresent) violations.push(`${what} the session was lost`);
    violations.push(...(await reachable(what, survivor, commander, device, received)));
    const early = wills.get(willOf(pings.indexOf(true))) ?? 0;
    if (early > 0) violations.push(`${what} the will of the open connection was published`);
  }
  for (const client of clients) client?.leave();
  await forget(oneOf(targets, plan.random), { ...common, received: () => undefined });
  return violations;
}

/** Makes a session with messages that wait. */
async function queue(
  target: LoadTarget,
  commander: PacketClient,
  common: PacketClientOptions,
  { device, number, queued }: TakeoverRound,
): Promise<void> {
  const before = await PacketClient.connect(target, { ...common, clean: true });
  await before.subscribe(`devices/${device}/commands/#`, 1);
  before.leave();
  await waitFor('the end of a connection', () => !before.isOpen);
  for (let index = 0; index < queued; index++) {
    await commander.publish(`devices/${device}/commands/go`, `${number} ${index}`, 1);
  }
}

/** Whether the connection that is left has the session: a subscription works. */
async function reachable(
  what: string,
  survivor: PacketClient,
  commander: PacketClient,
  device: string,
  received: ReadonlySet<string>,
): Promise<string[]> {
  try {
    await survivor.subscribe(`devices/${device}/commands/#`, 1);
    await commander.publish(`devices/${device}/commands/last`, 'last', 1);
    await waitFor('the last message', () => received.has('last'), arrivalMaxMs);
    return [];
  } catch (error) {
    return [`${what} the open connection does not work: ${String(error)}`];
  }
}

/** The next round of the device begins without a session. */
async function forget(target: LoadTarget, common: PacketClientOptions): Promise<void> {
  const last = await PacketClient.connect(target, {
    ...common,
    ...{ clean: true, sessionExpirySeconds: 0 },
  });
  last.leave();
}

/** The nodes of the simultaneous connections: all different, if there are enough. */
function chosen(targets: readonly LoadTarget[], random: () => number): readonly LoadTarget[] {
  const from = Math.floor(random() * targets.length);
  return Array.from({ length: simultaneous }, (_, index) => {
    const target = targets[(from + index) % targets.length];
    if (target === undefined) throw new Error('no node runs');
    return target;
  });
}

function clientOf({ clients }: ScenarioPlan, name: string, clean = true): PacketClientOptions {
  return {
    ...{ context: clients.context(name), clientId: name, clean },
    ...(clean ? {} : { sessionExpirySeconds }),
  };
}
