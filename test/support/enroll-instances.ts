/**
 * Instances of the enrollment service on one database, as programs, and what is around them.
 *
 * @module
 */
import { once } from 'node:events';
import { cp, mkdir, writeFile } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { stateFolder, type StateFolder } from '../../core/state-folder.ts';
import { spawnNode, type Child } from './child.ts';
import { flotilla, flotillaPath, type Ready } from './cli.ts';
import { tempFolder } from './temp-folder.ts';
import { until } from './until.ts';

const limitMs = 240_000;

export interface Instance {
  readonly state: StateFolder;
  readonly child: Child;
  /** Resolves when it is active. */
  readonly ready: Promise<Ready>;
}

/**
 * The state folder of an instance that has a database.
 *
 * @param ca the state folder whose CA is copied
 */
export async function newState(
  t: ExecutionContext,
  url: string,
  ca?: StateFolder,
): Promise<StateFolder> {
  const state = stateFolder(join(tempFolder(t), 'state'));
  await mkdir(state.root, { mode: 0o700 });
  await writeFile(state.config, `enroll:\n  database: ${url}\n`);
  if (ca !== undefined) await cp(ca.ca.folder, state.ca.folder, { recursive: true });
  return state;
}

/** Starts an instance of the enrollment service. */
export function startOn(t: ExecutionContext, state: StateFolder): Instance {
  const args = ['enroll', 'serve', '--state', state.root, '--https-port', '0', '--json'];
  const child = spawnNode(t, [flotillaPath, ...args], { timeoutMs: limitMs });
  const ready = child
    .line((line) => line.includes('"ready"'))
    .then((line): Ready => JSON.parse(line) as Ready);
  ready.catch(() => undefined);
  return { state, child, ready };
}

/** What one name for both instances is: a TCP port in front of the active one. */
export interface FrontPort {
  readonly url: string;
  /** How much clients were sent, in bytes. */
  bytes: number;
  /** Nothing reaches the clients of the open connections any more. */
  readonly hold: () => void;
  /** The URL of the active instance. */
  target: string;
}

export async function frontPort(t: ExecutionContext, target: string): Promise<FrontPort> {
  const sockets = new Set<Socket>();
  const held: (() => void)[] = [];
  const front = {
    ...{ url: '', target, bytes: 0 },
    hold: (): void => {
      for (const one of held.splice(0)) one();
    },
  };
  const listener = createServer((client) => {
    const upstream = connect(Number(new URL(front.target).port), '127.0.0.1');
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(one);
      one.on('error', () => other.destroy());
      one.on('close', () => other.destroy());
      one.pipe(other);
    }
    upstream.on('data', (chunk: Buffer) => (front.bytes += chunk.length));
    held.push(() => {
      upstream.unpipe(client);
      upstream.pause();
    });
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  t.teardown(() => {
    listener.close();
    for (const socket of sockets) socket.destroy();
  });
  const address = listener.address();
  front.url = `https://localhost:${typeof address === 'object' ? (address?.port ?? 0) : 0}`;
  return front;
}

/** Starts a broker on a state folder of its own. */
export async function startBroker(
  t: ExecutionContext,
  admin: StateFolder,
  url: string,
): Promise<{ readonly child: Child; readonly state: StateFolder }> {
  const own = stateFolder(join(tempFolder(t), 'broker-machine'));
  await mkdir(own.broker.folder, { recursive: true, mode: 0o700 });
  const made = await flotilla([
    ...['service', 'create', '--state', admin.root, '--name', 'broker-1', '--role', 'broker'],
    ...['--names', 'localhost', '--out', own.broker.identity],
  ]);
  t.is(made.code, 0, made.stderr);
  const ports = ['--mqtts-port', '0', '--wss-port', '0', '--metrics-port', '0'];
  const args = ['broker', 'serve', '--state', own.root, '--enroll-url', url, ...ports, '--json'];
  const child = spawnNode(t, [flotillaPath, ...args], { timeoutMs: limitMs });
  await child.line((line) => line.includes('"ready"'));
  return { child, state: own };
}

/** Waits until one broker is connected to an instance. */
export async function brokerConnected(instance: Instance): Promise<void> {
  const { metrics } = await instance.ready;
  await until('a broker is connected', async () =>
    /^flotilla_enroll_brokers_connected 1$/m.test(
      await (await fetch(`${metrics.url}/metrics`)).text(),
    ),
  );
}
