/**
 * Starts the brokers of a run, each in a process of its own, with the same certificates.
 *
 * @module
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { connect } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import type { RunCertificates } from './certificates.ts';
import type { LoadTarget } from './load/load-client.ts';

export type BrokerName = 'mosquitto' | 'flotilla' | 'session' | 'bare';

export interface BenchBroker {
  readonly name: BrokerName;
  readonly version: string;
  readonly pid: number;
  readonly target: LoadTarget;
  stop(): Promise<void>;
  /** `kill -9`. */
  kill(): Promise<void>;
}

/** Messages in flight to one receiver; the same limit for all brokers. */
export const inflightWindow = 1000;
const mosquittoPath = '/usr/sbin/mosquitto';

/** @param port 0 for any free port */
export function startBenchBroker(
  name: BrokerName,
  certificates: RunCertificates,
  port = 0,
): Promise<BenchBroker> {
  return name === 'mosquitto'
    ? startMosquitto(certificates, port)
    : startOurs(name, certificates, port);
}

/** The version of Mosquitto; undefined when it is not installed. */
export function mosquittoVersion(): string | undefined {
  try {
    return /version (\S+)/.exec(execFileSync(mosquittoPath, ['-h'], { encoding: 'utf8' }))?.[1];
  } catch (error) {
    // It prints its help and exits with code 3.
    const out = error instanceof Error && 'stdout' in error ? String(error.stdout) : '';
    return /version (\S+)/.exec(out)?.[1];
  }
}

async function startMosquitto(
  certificates: RunCertificates,
  wantedPort: number,
): Promise<BenchBroker> {
  const version = mosquittoVersion();
  if (version === undefined) throw new Error('mosquitto is not installed');
  const port = wantedPort === 0 ? await freePort() : wantedPort;
  const { files, folder } = certificates;
  const path = join(folder, 'mosquitto.conf');
  await writeFile(
    path,
    `listener ${port} 127.0.0.1
cafile ${files.ca}
certfile ${files.cert}
keyfile ${files.key}
require_certificate true
use_identity_as_username true
allow_anonymous false
tls_version tlsv1.3
set_tcp_nodelay true
max_inflight_messages ${inflightWindow}
max_queued_messages 100000
persistence false
log_dest none
user root
`,
  );
  const child = spawn(mosquittoPath, ['-c', path], { stdio: 'ignore' });
  await reachable(port, child);
  return running('mosquitto', version, child, port);
}

const scripts = {
  flotilla: 'flotilla-broker.ts',
  session: 'session-harness.ts',
  bare: 'bare-router.ts',
} as const;

/** Starts a broker of this project: a script that prints one line of JSON when it listens. */
async function startOurs(
  name: Exclude<BrokerName, 'mosquitto'>,
  certificates: RunCertificates,
  wantedPort: number,
): Promise<BenchBroker> {
  const script = new URL(scripts[name], import.meta.url);
  // The young generation has the size that `flotilla up` sets (cli/flotilla.mjs).
  // FLOTILLA_BENCH_NODE: more Node options for the broker, such as --cpu-prof.
  const options = (process.env['FLOTILLA_BENCH_NODE'] ?? '').split(' ').filter((one) => one !== '');
  const child = spawn(
    process.execPath,
    [
      '--max-semi-space-size=4',
      ...options,
      script.pathname,
      certificates.folder,
      String(wantedPort),
    ],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );
  const lines = createInterface({ input: child.stdout });
  const [line] = (await Promise.race([
    once(lines, 'line'),
    once(child, 'exit').then(() => {
      throw new Error(`${name} ended before it was ready`);
    }),
  ])) as [string];
  const { port, version } = JSON.parse(line) as { port: number; version: string };
  return running(name, version, child, port);
}

function running(
  name: BrokerName,
  version: string,
  child: ChildProcess,
  port: number,
): BenchBroker {
  const orphan = (): void => void child.kill('SIGKILL');
  process.once('exit', orphan);
  child.once('exit', () => process.off('exit', orphan));
  return {
    name,
    version,
    pid: child.pid ?? 0,
    target: { host: '127.0.0.1', port },
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
