/**
 * Devices with a will that has a delay lose their node. Half of them come back at other nodes in time: exactly the wills of
 * the other half are published, once each. A device whose partition is served again too late may not be back in time.
 *
 * @module
 */
import { setTimeout as pause } from 'node:timers/promises';
import { ExactClient } from '../kill/exact-client.ts';
import type { LoadTarget } from '../load/load-client.ts';
import type { BenchNodes } from './bench-nodes.ts';
import { waitFor } from './bounded-wait.ts';
import { PacketClient } from './packet-client.ts';
import { RoamingClients } from './roaming-clients.ts';
import { oneOf, type Scenario, type ScenarioPlan } from './scenario.ts';

const delaySeconds = 5;
const backMaxMs = 2000;
/** A device that has CONNACK this long after the kill is back before its will is due. */
const backInTimeMs = 4500;
const sessionExpirySeconds = 600;
/** Until partitions of the killed node are served again, their wills wait. */
const publishedMaxMs = 60_000;
const retryMs = 200;
const startTogether = 25;

interface Device {
  readonly name: string;
  readonly client: PacketClient;
}

export const willRounds: Scenario = async (plan) => {
  const nodes = await plan.start();
  const wills = new Map<string, number>();
  const watcher = new ExactClient({
    ...{ context: plan.clients.context('service-0'), clientId: 'service-0' },
    received: (_topic, text) => wills.set(text, (wills.get(text) ?? 0) + 1),
  });
  const targets = (): readonly LoadTarget[] => nodes.running.map(({ target }) => target);
  const roaming = new RoamingClients([watcher], targets, plan.random);
  const violations: string[] = [];
  let latestBackMs = 0;
  let late = 0;
  try {
    await waitFor('the watcher', () => roaming.areConnected);
    await watcher.subscribe('devices/+/will', 1);
    for (let round = 0; round < plan.rounds; round++) {
      const { found, backMs, lateCount } = await willRound(plan, nodes, wills, round);
      latestBackMs = Math.max(latestBackMs, backMs);
      late += lateCount;
      violations.push(...found);
      plan.report(
        `round ${round}: the last is back after ${Math.round(backMs)} ms; ${found.length} violations`,
      );
    }
    return {
      violations: [...violations, ...nodes.faults],
      figures: { wills: wills.size, late, latestBackMs: Math.round(latestBackMs) },
    };
  } finally {
    roaming.close();
    watcher.drop();
    await nodes.close();
  }
};

async function willRound(
  plan: ScenarioPlan,
  nodes: BenchNodes,
  wills: Map<string, number>,
  round: number,
): Promise<{ found: string[]; backMs: number; lateCount: number }> {
  const { random } = plan;
  const node = oneOf(nodes.running, random);
  const names = Array.from({ length: plan.devices }, (_, index) => `device-${index}`);
  const devices = await connectAll(plan, names, node.target, round);
  const returning = new Set(names.filter((_, index) => index % 2 === 0));
  await node.kill();
  const killedAtMs = performance.now();
  const others = nodes.running.map(({ target }) => target);
  const back = await Promise.all(
    [...returning].map(async (name) => {
      await pause(random() * backMaxMs);
      return comeBack(plan, name, others);
    }),
  );
  const backMs = Math.max(...back.map(({ atMs }) => atMs - killedAtMs));
  const inTime = new Set(
    back.filter(({ atMs }) => atMs - killedAtMs < backInTimeMs).map(({ name }) => name),
  );
  const textOf = (name: string): string => `${name} ${round}`;
  const missing = (): readonly string[] =>
    names.filter((name) => !returning.has(name) && !wills.has(textOf(name)));
  await waitFor('the wills', () => missing().length === 0, publishedMaxMs).catch(() => undefined);
  await node.start();
  await nodes.balanced();
  // Wills that must not be published have time to be.
  await pause(delaySeconds * 1000);
  const found = [
    ...missing().map((name) => `the will of ${name} is missing in round ${round}`),
    ...names.flatMap((name) => {
      const count = wills.get(textOf(name)) ?? 0;
      if (inTime.has(name) && count > 0) {
        return [`${name} came back in time, but its will was published in round ${round}`];
      }
      return count > 1
        ? [`the will of ${name} was published ${count} times in round ${round}`]
        : [];
    }),
    ...back
      .filter(({ hadSession }) => !hadSession)
      .map(({ name }) => `the session of ${name} was lost in round ${round}`),
  ];
  for (const { client } of back) client.leave();
  for (const { client } of devices) client.drop();
  await pause(500);
  return { found, backMs, lateCount: back.length - inTime.size };
}

/** Connects all devices with a will to one node. */
async function connectAll(
  plan: ScenarioPlan,
  names: readonly string[],
  target: LoadTarget,
  round: number,
): Promise<readonly Device[]> {
  const devices: Device[] = [];
  for (let from = 0; from < names.length; from += startTogether) {
    const some = names.slice(from, from + startTogether).map(async (name) => ({
      name,
      client: await PacketClient.connect(target, {
        ...optionsOf(plan, name),
        clean: true,
        will: { topic: `devices/${name}/will`, payload: `${name} ${round}`, delaySeconds },
      }),
    }));
    devices.push(...(await Promise.all(some)));
  }
  return devices;
}

/** Connects until it succeeds. */
async function comeBack(
  plan: ScenarioPlan,
  name: string,
  targets: readonly LoadTarget[],
): Promise<Device & { readonly hadSession: boolean; readonly atMs: number }> {
  const deadlineMs = performance.now() + publishedMaxMs;
  for (;;) {
    try {
      const client = await PacketClient.connect(oneOf(targets, plan.random), optionsOf(plan, name));
      const atMs = performance.now();
      return { name, client, hadSession: client.sessionPresent, atMs };
    } catch (error) {
      if (performance.now() > deadlineMs) throw error;
      await pause(retryMs);
    }
  }
}

function optionsOf(
  { clients }: ScenarioPlan,
  name: string,
): {
  context: ReturnType<typeof clients.context>;
  clientId: string;
  clean: boolean;
  sessionExpirySeconds: number;
} {
  return {
    ...{ context: clients.context(name), clientId: name },
    ...{ clean: false, sessionExpirySeconds },
  };
}
