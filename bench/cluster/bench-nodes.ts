/**
 * The nodes of a cluster as processes of this machine, which a benchmark can kill, freeze and restart. Each has a state
 * folder, an identity and a log file of its own.
 *
 * @module
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { writeBenchState } from '../bench-state.ts';
import { parseDatabaseUrl } from '../../core/config/database-url.ts';
import { startBenchBroker, type BenchBroker } from '../brokers.ts';
import type { RunCertificates } from '../certificates.ts';
import type { LoadTarget } from '../load/load-client.ts';
import { NodeNetwork } from '../network/node-network.ts';
import { waitFor } from './bounded-wait.ts';

const endMaxMs = 60_000;
const heldPattern = /serves ([\d, ]+) with/;

const statusSchema = z.object({
  checks: z.array(z.object({ name: z.string(), ok: z.boolean(), detail: z.string() })),
});
type StatusCheck = z.infer<typeof statusSchema>['checks'][number];

/** The names of the brokers of a run, for `makeCertificates`. */
export function nodeNames(count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `broker-${index + 1}`);
}

export class BenchNode {
  readonly name: string;
  readonly logFile: string;
  readonly #machine: RunCertificates;
  readonly #env: Readonly<Record<string, string>>;
  readonly #fault: (text: string) => void;
  readonly #listens: (broker: BenchBroker) => void;
  #broker: BenchBroker | undefined = undefined;
  #pid: number | undefined = undefined;
  /** Whether the process may end now. */
  #mayEnd = false;

  constructor(
    name: string,
    machine: RunCertificates,
    env: Readonly<Record<string, string>>,
    fault: (text: string) => void,
    listens: (broker: BenchBroker) => void,
  ) {
    this.name = name;
    this.logFile = join(machine.folder, 'log');
    this.#machine = machine;
    this.#env = env;
    this.#fault = fault;
    this.#listens = listens;
  }

  get isRunning(): boolean {
    return this.#broker !== undefined;
  }

  get pid(): number {
    return this.#running.pid;
  }

  /** The id of its last process, also before it listens. */
  get lastPid(): number | undefined {
    return this.#pid;
  }

  get target(): LoadTarget {
    return this.#running.target;
  }

  /** The exit code of the process, when it ends; undefined: a signal ended it. */
  get exited(): Promise<number | undefined> {
    return this.#running.exited;
  }

  /** Starts it on its state, at another port than before. Resolves when it listens. */
  async start(): Promise<void> {
    this.#mayEnd = false;
    const broker = await startBenchBroker('flotilla', this.#machine, 0, [], {
      env: this.#env,
      logFile: this.logFile,
      spawned: (pid) => (this.#pid = pid),
    });
    this.#listens(broker);
    this.#broker = broker;
    void broker.exited.then((code) => {
      if (this.#broker === broker) this.#broker = undefined;
      if (!this.#mayEnd) this.#fault(`${this.name} ended with ${code ?? 'a signal'}`);
    });
  }

  /** `kill -9`. */
  async kill(): Promise<void> {
    this.#mayEnd = true;
    const running = this.#running;
    this.#broker = undefined;
    await running.kill();
  }

  /** SIGTERM. @throws Error when it does not end in time */
  async stop(): Promise<number | undefined> {
    this.#mayEnd = true;
    const { pid, exited } = this.#running;
    this.#broker = undefined;
    process.kill(pid, 'SIGTERM');
    let isOver = false;
    void exited.then(() => (isOver = true));
    await waitFor(`the end of ${this.name}`, () => isOver, endMaxMs);
    return exited;
  }

  /** From then on, the process may end. */
  mayEnd(): void {
    this.#mayEnd = true;
  }

  /** SIGSTOP. From then on, the process may end. */
  freeze(): void {
    this.#mayEnd = true;
    process.kill(this.pid, 'SIGSTOP');
  }

  /** SIGCONT. */
  thaw(): void {
    process.kill(this.pid, 'SIGCONT');
  }

  /** It survived what could have ended it. */
  mustRun(): void {
    this.#mayEnd = false;
  }

  /** The checks of its status; empty while it does not answer. */
  async checks(): Promise<readonly StatusCheck[]> {
    const url = this.#broker?.metricsUrl;
    if (url === undefined) return [];
    try {
      const response = await fetch(new URL('/statusz', url), { signal: AbortSignal.timeout(5000) });
      return statusSchema.parse(await response.json()).checks;
    } catch {
      return [];
    }
  }

  /** The partitions that it serves. */
  async held(): Promise<readonly number[]> {
    const detail = (await this.checks()).find(({ name }) => name === 'partitions')?.detail;
    const list = heldPattern.exec(detail ?? '')?.[1];
    return list === undefined ? [] : list.split(', ').map(Number);
  }

  get #running(): BenchBroker {
    if (this.#broker === undefined) throw new Error(`${this.name} does not run`);
    return this.#broker;
  }
}

export interface BenchNodesOptions {
  readonly certificates: RunCertificates;
  readonly nodes: number;
  /** 0: a single broker that works alone, to check the benchmark itself. */
  readonly partitions: number;
  /** The URL of an empty database. */
  readonly database: string;
  /** A folder name for the state of the nodes. */
  readonly name: string;
  /** Whether the nodes and the database are behind proxies. */
  readonly hasFaults?: boolean;
}

export class BenchNodes {
  readonly all: readonly BenchNode[];
  readonly partitions: number;
  /** Processes that ended without a reason. */
  readonly faults: string[];
  readonly #network: NodeNetwork | undefined;

  private constructor(
    all: readonly BenchNode[],
    partitions: number,
    faults: string[],
    network: NodeNetwork | undefined,
  ) {
    this.all = all;
    this.#network = network;
    this.partitions = partitions;
    this.faults = faults;
  }

  /** Starts all nodes. Resolves when each partition is served, and each node serves its share. */
  static async start(options: BenchNodesOptions): Promise<BenchNodes> {
    const { certificates, partitions, database } = options;
    const faults: string[] = [];
    const env = {
      FLOTILLA_BENCH_DATABASE: database,
      ...(partitions === 0 ? {} : { FLOTILLA_BENCH_PARTITIONS: String(partitions) }),
      FLOTILLA_BENCH_LOG: process.env['FLOTILLA_BENCH_LOG'] ?? 'info',
    };
    const all: BenchNode[] = [];
    const network = options.hasFaults === true ? await networkOf(options, all) : undefined;
    for (const [index, name] of nodeNames(options.nodes).entries()) {
      const server = certificates.brokers.get(name);
      if (server === undefined) throw new Error(`no certificate for ${name}`);
      const folder = join(certificates.folder, options.name, name);
      await mkdir(folder, { recursive: true });
      const machine = { ...certificates, folder, server };
      await writeBenchState(machine);
      const own =
        network === undefined ? env : { ...env, ...throughNetwork(network, index, database) };
      const listens = ({ target, clusterPort = 0 }: BenchBroker): void => {
        network?.forwardTo(index, {
          devices: target,
          cluster: { host: target.host, port: clusterPort },
        });
      };
      all.push(new BenchNode(name, machine, own, (text) => faults.push(text), listens));
    }
    const nodes = new BenchNodes(all, partitions, faults, network);
    await Promise.all(all.map((node) => node.start()));
    await nodes.balanced();
    return nodes;
  }

  /** @throws Error without the option `hasFaults` */
  get network(): NodeNetwork {
    if (this.#network === undefined) throw new Error('the nodes are not behind proxies');
    return this.#network;
  }

  get running(): readonly BenchNode[] {
    return this.all.filter(({ isRunning }) => isRunning);
  }

  /** Waits until each partition is served and linked to all others. @throws Error when it takes too long */
  async settled(): Promise<void> {
    if (this.partitions === 0) return;
    let last = '';
    const isSettled = async (): Promise<boolean> => {
      const found = await Promise.all(this.running.map((node) => node.checks()));
      last = JSON.stringify(found);
      return found.every((checks) =>
        ['partitions', 'links'].every((name) => checks.some((one) => one.name === name && one.ok)),
      );
    };
    await waitFor('partitions and links', isSettled, undefined, () => last);
  }

  /** Waits until also each node serves its share of the partitions. @throws Error when it takes too long */
  async balanced(): Promise<void> {
    await this.settled();
    const most = Math.ceil(this.partitions / this.running.length);
    const isBalanced = async (): Promise<boolean> => {
      const held = await Promise.all(this.running.map((node) => node.held()));
      const isComplete = held.flat().length === this.partitions;
      return isComplete && held.every(({ length }) => length <= most);
    };
    await waitFor('the shares of the nodes', isBalanced);
    await this.settled();
  }

  /** The node that serves a partition. @throws Error when there is none */
  async holderOf(partition: number): Promise<BenchNode> {
    for (const node of this.running) if ((await node.held()).includes(partition)) return node;
    throw new Error(`nobody serves partition ${partition}`);
  }

  async close(): Promise<void> {
    await Promise.all(this.running.map((node) => node.kill()));
    this.#network?.close();
  }
}

/** The ids of the processes are those of the nodes that run. */
function networkOf(
  { database, nodes }: BenchNodesOptions,
  all: readonly BenchNode[],
): Promise<NodeNetwork> {
  const [place] = parseDatabaseUrl(database).hosts;
  if (place === undefined) throw new Error(`no host in ${database}`);
  return NodeNetwork.create(nodes, place, () => all.map(({ lastPid }) => lastPid));
}

/** What a node has in its environment so that it uses the proxies. */
function throughNetwork(
  network: NodeNetwork,
  index: number,
  database: string,
): Readonly<Record<string, string>> {
  return {
    FLOTILLA_BENCH_DATABASE: network.databaseUrl(index, database),
    FLOTILLA_BENCH_CLUSTER_ADDRESS: network.addressOf(index),
  };
}
