/**
 * Load with a ledger of every message on a cluster under test, with clients at all nodes.
 *
 * @module
 */
import type { ExecutionContext } from 'ava';
import { FleetLoad, type FleetOutcome } from '../../bench/cluster/fleet-load.ts';
import { seededNumbers } from '../../bench/kill/seeded-numbers.ts';
import type { ClusterWorld } from './cluster-world.ts';
import { until } from './until.ts';

export interface ClusterLoadOptions {
  readonly devices?: number;
  readonly ratePerSecond?: number;
  readonly seed?: number;
}

export interface ClusterLoad {
  readonly fleet: FleetLoad;
  /** Waits until so many more messages are acknowledged. */
  goesOn(messages?: number): Promise<void>;
  /** Ends the load, and fails the test if a message was lost, repeated, or out of order. */
  check(t: ExecutionContext): Promise<FleetOutcome>;
}

/** Starts clients and their load. */
export async function clusterLoad(
  t: Pick<ExecutionContext, 'teardown'>,
  world: ClusterWorld,
  { devices = 12, ratePerSecond = 150, seed = 1 }: ClusterLoadOptions = {},
): Promise<ClusterLoad> {
  const contexts = new Map<string, ReturnType<ClusterWorld['contextOf']>>();
  const context = (name: string): ReturnType<ClusterWorld['contextOf']> => {
    const known = contexts.get(name);
    if (known !== undefined) return known;
    const role = name.startsWith('device-') ? 'device' : 'service';
    const made = world.contextOf(world.device(name, role));
    contexts.set(name, made);
    return made;
  };
  const targets = (): { host: string; port: number }[] =>
    world.members
      .filter(({ child }) => child.process.exitCode === null && child.process.signalCode === null)
      .map(({ addresses }) => addresses.mqtts);
  const fleet = await FleetLoad.start({
    ...{ clients: { context }, devices, ratePerSecond, targets, random: seededNumbers(seed) },
  });
  t.teardown(() => fleet.close());
  fleet.isOn = true;
  return {
    fleet,
    async goesOn(messages = 100) {
      const before = fleet.ledger.acknowledged;
      await until(`${messages} more messages`, () => {
        return fleet.ledger.acknowledged >= before + messages;
      });
    },
    async check(test) {
      const outcome = await fleet.settle();
      const { lost, twice, outOfOrder, unknown, unexpected, sessionsLost } = outcome;
      test.deepEqual(
        { lost, twice, outOfOrder, unknown, unexpected, sessionsLost },
        { lost: [], twice: [], outOfOrder: [], unknown: [], unexpected: [], sessionsLost: 0 },
      );
      return outcome;
    },
  };
}
