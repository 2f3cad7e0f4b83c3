/**
 * A cluster under test: PostgreSQL, the feed, and nodes that are processes of their own, so that a test can kill and freeze them.
 *
 * @module
 */
import { join } from 'node:path';
import { createSecureContext, type SecureContext } from 'node:tls';
import type { ExecutionContext } from 'ava';
import { connect, type IClientOptions, type MqttClient } from 'mqtt';
import { z } from 'zod';
import { NodeNetwork } from '../../bench/network/node-network.ts';
import { partitionOf } from '../../core/partition.ts';
import type { ConfigInput } from '../../core/config/config.ts';
import { parseDatabaseUrl } from '../../core/config/database-url.ts';
import { parseDeviceId } from '../../core/device-id.ts';
import { stateFolder } from '../../core/state-folder.ts';
import { TestFeed } from './broker-feed.ts';
import { certificateFacts, writeIdentity } from './broker-world.ts';
import { spawnNode, type Child } from './child.ts';
import type { PostgresServer } from './postgres-server.ts';
import { tempFolder } from './temp-folder.ts';
import { testCa, type TestCa, type TestIdentity } from './test-ca.ts';
import { until } from './until.ts';

const program = new URL('cluster-member-process.ts', import.meta.url).pathname;
const lifeMs = 900_000;
/** A node that starts later gets its share after ten seconds. */
const settledMaxMs = 120_000;
/** A node that was stopped does not answer. */
const answerMaxMs = 5000;
/** The socket of PostgreSQL in its folder. */
const socketName = '.s.PGSQL.5432';
const addressSchema = z.object({ host: z.string(), port: z.int() });
const addressesSchema = z.object({
  mqtts: addressSchema,
  wss: addressSchema,
  metrics: z.object({ url: z.string() }),
  cluster: addressSchema,
});
const checksSchema = z.object({
  checks: z.array(z.object({ name: z.string(), ok: z.boolean(), detail: z.string() })),
});

export interface ClusterMember {
  readonly name: string;
  readonly state: string;
  readonly addresses: z.infer<typeof addressesSchema>;
  readonly child: Child;
  /** Ends it as a crash does. */
  kill(): Promise<void>;
  /** Ends it in order. */
  stop(): Promise<void>;
  /** Starts it again on the same state. */
  start(): Promise<void>;
  /** The checks of `/statusz`; empty while it does not answer. */
  checks(): Promise<z.infer<typeof checksSchema>['checks']>;
}

export interface ClusterWorldOptions {
  readonly nodes: number;
  readonly partitions: number;
  readonly config?: ConfigInput;
  /** Whether everything that the nodes connect to is behind proxies with faults. */
  readonly hasFaults?: boolean;
}

export interface ClusterWorld {
  readonly ca: TestCa;
  readonly feed: TestFeed;
  readonly url: string;
  readonly members: readonly ClusterMember[];
  /** @throws Error without the option `hasFaults` */
  readonly network: NodeNetwork;
  /** Issues a certificate and adds the identity to the directory. */
  device(id: string, role?: string): TestIdentity;
  /** An id that begins with a text and belongs to a partition. */
  idIn(partition: number, prefix: string): string;
  contextOf(identity: TestIdentity): SecureContext;
  /** Connects with MQTT.js to a node. `seen`: gets each message as `topic payload`, from the first one. */
  mqtt(
    identity: TestIdentity,
    member: number,
    options?: IClientOptions,
    seen?: string[],
  ): Promise<MqttClient>;
  /** The partitions that a node serves. */
  held(member: number): Promise<readonly number[]>;
  /** The node that serves a partition. Waits until there is one. */
  holderOf(partition: number): Promise<number>;
  /**
   * Waits until each partition is served and linked to all others, and each running node has its share: after that,
   * none moves any more, which would close connections.
   */
  settled(members?: readonly number[]): Promise<void>;
}

/** Starts everything. It is closed at the end of the test. */
export async function clusterWorld(
  t: Pick<ExecutionContext, 'teardown'>,
  server: PostgresServer,
  options: ClusterWorldOptions,
): Promise<ClusterWorld> {
  const ca = testCa();
  const names = ['localhost', '127.0.0.1'];
  const feed = new TestFeed(ca, ca.issue({ profile: 'server', commonName: 'enrollment', names }));
  await feed.listen();
  t.teardown(() => feed.close());
  const url = await server.database();
  const clients: MqttClient[] = [];
  const add = (id: string, role: string, identity: TestIdentity): void => {
    feed.set({
      ...{ id: parseDeviceId(id), role, status: 'active', group: null, attributes: {} },
      certificates: [...(feed.entries.get(id)?.certificates ?? []), certificateFacts(identity)],
    });
  };
  const members: Member[] = [];
  const network =
    options.hasFaults === true ? await networkOf(t, url, options, members) : undefined;
  await Promise.all(
    Array.from({ length: options.nodes }, async (_, index) => {
      const name = `broker-${index + 1}`;
      const identity = ca.issue({ profile: 'broker', commonName: name, names });
      add(name, 'broker', identity);
      const root = tempFolder(t);
      writeIdentity(stateFolder(root).broker.identity, identity, ca.ca);
      const member = new Member(t, { name, root, feed, url, options, network, index });
      members[index] = member;
      await member.start();
    }),
  );
  t.teardown(() => {
    for (const client of clients) client.end(true);
  });
  const held = async (member: number): Promise<readonly number[]> => {
    const checks = await members[member]!.checks();
    const detail = checks.find(({ name }) => name === 'partitions')?.detail ?? '';
    const list = /serves ([\d, ]+) with/.exec(detail)?.[1];
    return list === undefined ? [] : list.split(', ').map(Number);
  };
  return {
    ...{ ca, feed, url, members, held },
    get network() {
      if (network === undefined) throw new Error('the world has no faults');
      return network;
    },
    device(id, role = 'device') {
      const profile = role === 'device' ? 'device' : 'service';
      const identity = ca.issue({ profile, commonName: id });
      add(id, role, identity);
      return identity;
    },
    idIn(partition, prefix) {
      for (let number = 0; ; number++) {
        const id = number === 0 ? prefix : `${prefix}-${number}`;
        if (partitionOf(id, options.partitions) === partition) return id;
      }
    },
    contextOf: ({ cert, key }) => createSecureContext({ ca: ca.ca, cert, key }),
    async mqtt({ cert, key }, member, more = {}, seen = []) {
      const { host, port } = members[member]!.addresses.mqtts;
      const client = connect(`mqtts://${host}:${port}`, {
        ...{ servername: 'localhost', ca: ca.ca, cert, key },
        ...{ reconnectPeriod: 0, connectTimeout: 60_000 },
        ...more,
      });
      clients.push(client);
      client.on('message', (topic, payload) => seen.push(`${topic} ${payload.toString()}`));
      await new Promise((resolve, reject) => {
        client.once('connect', resolve);
        client.once('error', reject);
        client.once('close', () => reject(new Error('closed before it was connected')));
      });
      client.on('error', () => undefined);
      return client;
    },
    holderOf: (partition) =>
      until(`somebody serves partition ${partition}`, async () => {
        const all = await Promise.all(members.map((_, member) => held(member)));
        const holder = all.findIndex((partitions) => partitions.includes(partition));
        return holder >= 0 && holder;
      }),
    async settled(running = members.keys().toArray()) {
      const share = Math.floor(options.partitions / running.length);
      await until(
        'each partition is served and linked',
        async () => {
          const all = await Promise.all(running.map((index) => members[index]!.checks()));
          const counts = await Promise.all(
            running.map(async (index) => (await held(index)).length),
          );
          return (
            counts.every((count) => count >= share) &&
            all.every((checks) =>
              ['partitions', 'links'].every((name) =>
                checks.some((one) => one.name === name && one.ok),
              ),
            )
          );
        },
        settledMaxMs,
      );
    },
  };
}

interface MemberParts {
  readonly name: string;
  readonly root: string;
  readonly feed: TestFeed;
  readonly url: string;
  readonly options: ClusterWorldOptions;
  readonly network: NodeNetwork | undefined;
  readonly index: number;
}

class Member implements ClusterMember {
  readonly #t: Pick<ExecutionContext, 'teardown'>;
  readonly #parts: MemberParts;
  #addresses: ClusterMember['addresses'] | undefined = undefined;
  #child: Child | undefined = undefined;

  constructor(t: Pick<ExecutionContext, 'teardown'>, parts: MemberParts) {
    this.#t = t;
    this.#parts = parts;
  }

  get name(): string {
    return this.#parts.name;
  }

  get state(): string {
    return this.#parts.root;
  }

  get addresses(): ClusterMember['addresses'] {
    if (this.#addresses === undefined) throw new Error(`${this.name} was not started`);
    return this.#addresses;
  }

  get child(): Child {
    if (this.#child === undefined) throw new Error(`${this.name} was not started`);
    return this.#child;
  }

  /** Undefined while it does not run. */
  get pid(): number | undefined {
    return this.#child?.process.exitCode === null ? this.#child.pid : undefined;
  }

  async kill(): Promise<void> {
    await this.child.stop('SIGKILL');
  }

  async stop(): Promise<void> {
    await this.child.stop('SIGTERM');
  }

  async start(): Promise<void> {
    const { network, index } = this.#parts;
    const child = spawned(this.#t, this.#parts);
    this.#child = child;
    const addresses = await addressesOf(child);
    this.#addresses = addresses;
    if (network === undefined) return;
    const { mqtts, cluster } = addresses;
    network.forwardTo(index, { devices: mqtts, cluster });
    const { host, port } = network.portsOf(index).devices;
    this.#addresses = { ...addresses, mqtts: { host, port } };
  }

  async checks(): ReturnType<ClusterMember['checks']> {
    try {
      const url = new URL('/statusz', this.addresses.metrics.url);
      const response = await fetch(url, { signal: AbortSignal.timeout(answerMaxMs) });
      return checksSchema.parse(await response.json()).checks;
    } catch {
      return [];
    }
  }
}

function spawned(t: Pick<ExecutionContext, 'teardown'>, parts: MemberParts): Child {
  const { root, feed, url, options, network, index } = parts;
  const { config = {}, partitions } = options;
  const database = network?.databaseUrl(index, url) ?? url;
  const address = network === undefined ? {} : { address: network.addressOf(index) };
  const settings: ConfigInput = {
    ...config,
    broker: { mqttsPort: 0, wssPort: 0, metricsPort: 0, database, ...config.broker },
    cluster: { partitions, port: 0, ...address, ...config.cluster },
  };
  return spawnNode(t, [program, root, feed.url, JSON.stringify(settings)], { timeoutMs: lifeMs });
}

async function networkOf(
  t: Pick<ExecutionContext, 'teardown'>,
  url: string,
  { nodes }: ClusterWorldOptions,
  members: readonly Member[],
): Promise<NodeNetwork> {
  const [place] = parseDatabaseUrl(url).hosts;
  const network = await NodeNetwork.create(
    nodes,
    { path: join(place?.host ?? '', socketName) },
    () => Array.from({ length: nodes }, (_, index) => members[index]?.pid),
  );
  t.teardown(() => network.close());
  return network;
}

async function addressesOf(child: Child): Promise<ClusterMember['addresses']> {
  const line = await child.line((text) => text.startsWith('{"mqtts"'), 120_000);
  return addressesSchema.parse(JSON.parse(line));
}
