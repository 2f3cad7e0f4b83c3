/**
 * Starts the brokers of a run, each in a process of its own, with the same certificates.
 *
 * @module
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { allocatorVariables } from '../cli/lib/allocator.ts';
import type { RunCertificates } from './certificates.ts';
import type { LoadTarget } from './load/load-client.ts';
import { configurePeer, peersOf, peerVersion, type Peer } from './peers.ts';

/**
 * - a name of a peer: see peers.ts;
 * - `flotilla`: the whole broker, without fronts; `flotilla-N`: with N fronts;
 * - `session`: only the session layer, without admission, policy and metrics;
 * - `bare`: the cost of `node:tls` itself, QoS 0 only.
 */
export type BrokerName = string;

export interface BenchBroker {
  readonly name: BrokerName;
  readonly version: string;
  readonly pid: number;
  readonly target: LoadTarget;
  /** Where a broker of this project reports its state. */
  readonly metricsUrl: string | undefined;
  /** Where a broker of this project accepts other nodes. */
  readonly clusterPort: number | undefined;
  /** Resolves when the process has ended, with its exit code, or undefined if a signal ended it. */
  readonly exited: Promise<number | undefined>;
  stop(): Promise<void>;
  /** `kill -9`. */
  kill(): Promise<void>;
}

export interface ProcessOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** The log of the broker is added to this file. By default it is shown. */
  readonly logFile?: string;
  /** Called with the id of the process before it works. */
  readonly spawned?: (pid: number) => void;
}

/** Whether a broker is one of this project. */
export function isOwn(name: BrokerName): boolean {
  return (name.split('-')[0] ?? '') in scripts;
}

/**
 * Starts a broker.
 *
 * @param port 0 for any free port
 * @param peers the peers of the run, by default those that are installed
 * @param more for a broker of this project: environment variables, and a signal that kills it at any time
 */
export async function startBenchBroker(
  name: BrokerName,
  certificates: RunCertificates,
  port = 0,
  peers: readonly Peer[] = peersOf([]),
  more: ProcessOptions = {},
): Promise<BenchBroker> {
  if (isOwn(name)) return startOurs(name, certificates, port, more);
  const peer = peers.find((one) => one.name === name);
  if (peer === undefined) throw new Error(`there is no broker ${name}`);
  return startPeer(peer, certificates, port);
}

async function startPeer(
  peer: Peer,
  certificates: RunCertificates,
  wantedPort: number,
): Promise<BenchBroker> {
  const port = wantedPort === 0 ? await freePort() : wantedPort;
  const options = await configurePeer(peer, certificates, port);
  const child = spawn(peer.path, [...options], { stdio: 'ignore' });
  await reachable(port, child);
  return running(peer.name, peerVersion(peer) ?? '', child, port);
}

const scripts: Readonly<Record<string, string>> = {
  flotilla: 'flotilla-broker.ts',
  session: 'session-harness.ts',
  bare: 'bare-router.ts',
};

/** Starts a broker of this project: a script that prints one line of JSON when it listens. */
async function startOurs(
  name: BrokerName,
  certificates: RunCertificates,
  wantedPort: number,
  { env, signal, logFile, spawned }: ProcessOptions,
): Promise<BenchBroker> {
  const [kind = '', fronts = '0'] = name.split('-');
  const script = new URL(scripts[kind] ?? '', import.meta.url);
  // The young generation has the size that `flotilla up` sets (cli/flotilla.mjs).
  // FLOTILLA_BENCH_NODE: more Node options for the broker, such as --cpu-prof.
  const options = (process.env['FLOTILLA_BENCH_NODE'] ?? '').split(' ').filter((one) => one !== '');
  // As `flotilla` starts itself: with jemalloc where it is installed. FLOTILLA_BENCH_ALLOCATOR=system: without it.
  const allocator = process.env['FLOTILLA_BENCH_ALLOCATOR'] === 'system' ? 'system' : 'auto';
  const variables = allocatorVariables(allocator, process.env);
  const log = logFile === undefined ? undefined : openSync(logFile, 'a');
  const child = spawn(
    process.execPath,
    [
      '--max-semi-space-size=4',
      ...options,
      script.pathname,
      certificates.folder,
      String(wantedPort),
    ],
    {
      stdio: ['pipe', 'pipe', log ?? 'inherit'],
      ...(signal === undefined ? {} : { signal, killSignal: 'SIGKILL' as const }),
      env: {
        ...process.env,
        ...env,
        FLOTILLA_BENCH_FRONTS: fronts,
        ...variables,
      },
    },
  );
  if (log !== undefined) closeSync(log);
  if (child.pid !== undefined) spawned?.(child.pid);
  // The signal is reported as an error.
  child.on('error', () => undefined);
  const { stdout } = child;
  if (stdout === null) throw new Error('the output of the broker is a pipe');
  const lines = createInterface({ input: stdout });
  const [line] = (await Promise.race([
    once(lines, 'line'),
    once(child, 'exit').then(() => {
      throw new Error(`${name} ended before it was ready`);
    }),
  ])) as [string];
  const { port, version, metrics, cluster } = JSON.parse(line) as {
    port: number;
    version: string;
    metrics?: string;
    cluster?: number;
  };
  return running(name, version, child, port, { metricsUrl: metrics, clusterPort: cluster });
}

function running(
  name: BrokerName,
  version: string,
  child: ChildProcess,
  port: number,
  { metricsUrl, clusterPort }: Partial<Pick<BenchBroker, 'metricsUrl' | 'clusterPort'>> = {},
): BenchBroker {
  const orphan = (): void => void child.kill('SIGKILL');
  process.once('exit', orphan);
  const exited = new Promise<number | undefined>((resolve) => {
    child.once('exit', (code) => {
      process.off('exit', orphan);
      resolve(code ?? undefined);
    });
  });
  return {
    exited,
    name,
    version,
    pid: child.pid ?? 0,
    target: { host: '127.0.0.1', port },
    metricsUrl,
    clusterPort,
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGTERM');
      const ended = await Promise.race([
        once(child, 'exit'),
        delay(8000, undefined, { ref: false }),
      ]);
      if (ended === undefined) child.kill('SIGKILL');
    },
    async kill() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}

/** A port that is free now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function reachable(port: number, child: ChildProcess): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if (child.exitCode !== null) throw new Error('the broker ended before it was ready');
    const socket = connect(port, '127.0.0.1');
    const open = await Promise.race([
      once(socket, 'connect').then(() => true),
      once(socket, 'error').then(() => false),
    ]).catch(() => false);
    socket.destroy();
    if (open) return;
    await delay(25);
  }
  throw new Error('the broker did not listen in time');
}
