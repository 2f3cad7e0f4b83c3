/**
 * Starts the workers of a run: processes on this host, agents on other hosts, and the observers that
 * check what is delivered.
 *
 * @module
 */
import { availableParallelism } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { Lifecycle } from '../../core/lifecycle.ts';
import { AgentHub } from '../agent/agent-hub.ts';
import type { RunCredentials } from '../credentials/open-credentials.ts';
import { LinkError } from '../device/link.ts';
import { filterFor } from '../fleet/roster.ts';
import type { Plan } from '../plan/plan-schema.ts';
import { phasesOf } from '../plan/phase-names.ts';
import type { SharedClock } from '../traffic/shared-clock.ts';
import type { BrokerAddress, Tick } from '../worker/protocol.ts';
import {
  forkedChannel,
  localChannel,
  WorkerHandle,
  WorkerPool,
  type OpenChannel,
} from '../worker/worker-pool.ts';

/** How long an agent may take to answer the first calls. */
const agentAnswerMaxMs = 5000;
/** Workers get this long to disconnect their devices before they are killed. */
export const shutDownGraceMs = 10_000;
/** Up to this many devices, one worker carries the devices and the observer. */
const smallFleetMax = 100;
const devicesPerWorkerMin = 250;
const clockSamples = 5;

export interface WorkerStart {
  readonly plan: Plan;
  readonly seed: string;
  readonly run: string;
  readonly fleetSize: number;
  readonly brokers: readonly BrokerAddress[];
  readonly credentials: RunCredentials;
  readonly sourceAddresses: readonly string[];
  readonly clock: SharedClock;
  readonly lifecycle: Lifecycle;
  /** Runs the workers in this process instead of processes of their own. */
  readonly inProcess: boolean;
  readonly onTick: (worker: WorkerHandle, tick: Tick) => void;
  readonly onLost: (error: Error) => void;
  /** Called when all workers are set up and no device is connected yet. */
  readonly onIdle: (deviceWorkers: readonly WorkerHandle[]) => void;
}

export interface StartedWorkers {
  readonly pool: WorkerPool;
  /** What the report says about the clocks of agents. */
  readonly clockNotes: readonly string[];
}

/** How many workers carry the devices of a plan, agents included. */
export function workerCountOf({ run }: Plan, fleetSize: number): number {
  const { workers, agents } = run;
  if (agents.length > 0) return (workers ?? 0) + agents.length;
  const enough = Math.ceil(fleetSize / devicesPerWorkerMin);
  return workers ?? Math.max(1, Math.min(availableParallelism(), enough));
}

/**
 * Starts and sets up all workers and connects the observers.
 *
 * @throws FlotillaError `sim-agent-missing`, `sim-worker-failed`, `sim-target-refused`,
 *   `sim-phase-unsupported`, and those of the enrollment service
 */
export async function startWorkers(start: WorkerStart): Promise<StartedWorkers> {
  const { plan, fleetSize, brokers, lifecycle } = start;
  const openChannel = start.inProcess ? localChannel : forkedChannel;
  const hub = await agentHubOf(start);
  const localCount = workerCountOf(plan, fleetSize) - plan.run.agents.length;
  const deviceWorkers = [
    ...Array.from({ length: localCount }, (_item, index) =>
      workerOn(openChannel(`worker ${index + 1}`), start),
    ),
    ...(hub === undefined
      ? []
      : plan.run.agents.map((agent) => workerOn(hub.channelTo(agent), start))),
  ];
  const clocks = await measureClocks(deviceWorkers.slice(localCount), start.clock);
  const [first] = deviceWorkers;
  const isSmall = localCount > 0 && fleetSize <= smallFleetMax;
  const observers = Array.from({ length: plan.run.observers * brokers.length }, (_item, index) =>
    isSmall && index === 0 && first !== undefined
      ? first
      : workerOn(openChannel(`observer ${index + 1}`), start),
  );
  const pool = new WorkerPool(deviceWorkers, observers, brokers.length);
  lifecycle.add('workers', () => pool.shutDown(shutDownGraceMs));
  await setUpWorkers(pool, clocks.shiftsMs, start);
  await pool.callAll('flush', {});
  start.onIdle(deviceWorkers);
  await startObservers(observers, start);
  return { pool, clockNotes: clocks.notes };
}

function workerOn(open: OpenChannel, { onTick, onLost }: WorkerStart): WorkerHandle {
  const worker: WorkerHandle = new WorkerHandle(open, (tick) => onTick(worker, tick), onLost);
  return worker;
}

async function setUpWorkers(
  pool: WorkerPool,
  shiftsMs: ReadonlyMap<WorkerHandle, number>,
  { plan, seed, run, fleetSize, brokers, credentials, sourceAddresses }: WorkerStart,
): Promise<void> {
  const { enroll } = credentials;
  const setup = { plan, seed, run, brokers, enroll, sourceAddresses };
  await Promise.all(
    pool.all().map((worker) => {
      const index = pool.deviceWorkers.indexOf(worker);
      const shard =
        index === -1 ? { index: fleetSize, of: 1 } : { index, of: pool.deviceWorkers.length };
      return worker.call('setup', { ...setup, shard, clockShiftMs: shiftsMs.get(worker) ?? 0 });
    }),
  );
}

async function startObservers(
  observers: readonly WorkerHandle[],
  { plan, run, brokers, credentials }: WorkerStart,
): Promise<void> {
  const filters = observedFilters(plan);
  for (const [index, worker] of observers.entries()) {
    const name = `sim-observer-${run}-${index + 1}`;
    const { key, chain, name: ownName } = await credentials.observer(name);
    const rest = {
      key,
      chain,
      filters,
      client: plan.run.observerClient,
      broker: index % brokers.length,
    };
    try {
      await worker.call('observe', { name, ...rest });
    } catch (error) {
      // Some brokers accept only the name in the certificate as the client id.
      if (ownName === undefined || !(error instanceof LinkError)) throw error;
      await worker.call('observe', { name: ownName, ...rest });
    }
  }
}

/** Connects the controller to the agents of the plan; undefined when the plan has none. */
async function agentHubOf(start: WorkerStart): Promise<AgentHub | undefined> {
  const { plan, run, brokers, credentials, lifecycle } = start;
  const { agents } = plan.run;
  const [broker] = brokers;
  if (agents.length === 0 || broker === undefined) return undefined;
  if (credentials.api === undefined) {
    throw new FlotillaError('sim-phase-unsupported', {
      detail: 'agents enroll their devices themselves, which needs a Flotilla enrollment service',
    });
  }
  const name = `sim-controller-${run}`;
  const hub = new AgentHub(name, await credentials.observer(name), broker);
  lifecycle.add('agents', () => hub.close());
  await hub.start(agents);
  return hub;
}

/**
 * Measures by how much the clocks of agents differ from the controller's, from the fastest of a few
 * round trips.
 */
async function measureClocks(
  agents: readonly WorkerHandle[],
  clock: SharedClock,
): Promise<{ shiftsMs: Map<WorkerHandle, number>; notes: string[] }> {
  const shiftsMs = new Map<WorkerHandle, number>();
  const notes: string[] = [];
  for (const worker of agents) {
    let fastestMs = Infinity;
    for (let sample = 0; sample < clockSamples; sample++) {
      const askedMs = clock.now();
      const answer = await Promise.race([worker.call('clock', {}), delay(agentAnswerMaxMs)]);
      const answeredMs = clock.now();
      if (answer === undefined) {
        for (const agent of agents) agent.abandon('it does not answer');
        throw new FlotillaError('sim-agent-missing', { detail: worker.channel.label });
      }
      if (answeredMs - askedMs >= fastestMs) continue;
      fastestMs = answeredMs - askedMs;
      shiftsMs.set(worker, (askedMs + answeredMs) / 2 - answer.atMs);
    }
    const shiftMs = Math.round(shiftsMs.get(worker) ?? 0);
    notes.push(
      `${worker.channel.label}: its clock is ${Math.abs(shiftMs)} ms ${shiftMs > 0 ? 'behind' : 'ahead'} (±${(fastestMs / 2).toFixed(1)} ms)`,
    );
  }
  return { shiftsMs, notes };
}

/** The filters of the observers: those of the plan, or filters made from the topics of the fleet. */
function observedFilters(plan: Plan): string[] {
  if (plan.run.observe !== undefined) return plan.run.observe;
  const topics = plan.fleet.flatMap(({ publish }) => publish.map(({ topic }) => filterFor(topic)));
  const replies = phasesOf(plan).some(({ spec }) => spec.phase === 'command-roundtrip');
  return [...new Set([...topics, ...(replies ? ['devices/+/replies'] : [])])];
}
