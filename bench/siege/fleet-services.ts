/**
 * An enrollment service and a broker as processes of their own, and identities of this fleet.
 *
 * @module
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { setPriority } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import { createCsr } from '../../certs/csr.ts';
import { generateKey, privateKeyPem } from '../../certs/key.ts';
import { issuedSchema, tokenSchema } from '../../core/protocol/enrollment-api.ts';
import { callHttps, callJson } from '../../core/protocol/https-client.ts';

const program = resolve('cli/flotilla.mjs');
const readyMaxMs = 120_000;

/** A program of Flotilla that runs. */
export interface Running {
  readonly child: ChildProcess;
  readonly pid: number;
  /** Where its log is. */
  readonly logPath: string;
}

/**
 * Gives a process, and what it starts, its priority; only root may raise it. Where Linux groups processes by their
 * session (autogroup), the priority of the group decides.
 */
function prioritize(pid: number, niceness: number): void {
  try {
    setPriority(pid, niceness);
    const group = `/proc/${pid}/autogroup`;
    if (existsSync(group)) writeFileSync(group, String(niceness));
  } catch {
    process.stderr.write(`the priority of process ${pid} cannot be set to ${niceness}\n`);
  }
}

/**
 * Starts a command; stdout and stderr go to files, so that nobody has to read them.
 *
 * @param niceness undefined: the usual priority
 */
export function runFlotilla(
  folder: string,
  name: string,
  niceness: number | undefined,
  args: readonly string[],
): Running & { readonly outPath: string } {
  const [outPath, logPath] = [join(folder, `${name}.out`), join(folder, `${name}.log`)];
  const stdio = ['ignore', openSync(outPath, 'w'), openSync(logPath, 'w')] as const;
  // In a session of its own, so that its priority does not apply to the attacks.
  // The inspector opens only when it is asked for with SIGUSR1.
  const child = spawn(process.execPath, ['--inspect-port=0', program, ...args], {
    stdio: [...stdio],
    detached: true,
  });
  const { pid } = child;
  if (pid === undefined) throw new Error(`${name} could not be started`);
  if (niceness !== undefined) prioritize(pid, niceness);
  return { child, pid, outPath, logPath };
}

/** The first line of the output, parsed. */
export async function readyLine<T>(
  { child, outPath, logPath }: Running & { readonly outPath: string },
  schema: z.ZodType<T>,
): Promise<T> {
  const untilMs = performance.now() + readyMaxMs;
  while (performance.now() < untilMs && child.exitCode === null) {
    const [line, rest] = readFileSync(outPath, 'utf8').split('\n');
    if (rest !== undefined) return schema.parse(JSON.parse(line ?? ''));
    await pause(100);
  }
  throw new Error(`not ready: ${readFileSync(logPath, 'utf8').slice(-2000)}`);
}

export const enrollReady = z.object({ https: z.object({ url: z.string() }) });
const brokerReady = z.object({
  mqtts: z.object({ host: z.string(), port: z.int() }),
  metrics: z.object({ url: z.string() }),
});

export interface FleetServices {
  readonly state: string;
  readonly enroll: Running;
  readonly broker: Running;
  readonly enrollUrl: string;
  readonly mqtts: { readonly host: string; readonly port: number };
  /** PEM. */
  readonly ca: string;
  identity(id: string): Promise<{ readonly cert: string; readonly key: string }>;
  /** Deletes a device, as an operator does. */
  remove(id: string): Promise<void>;
  /** The text of the broker's metrics. */
  metrics(): Promise<string>;
  close(): Promise<void>;
}

/** Starts both services on a new state folder. */
export async function startFleetServices(folder: string, niceness: number): Promise<FleetServices> {
  const state = join(folder, 'state');
  const common = ['--state', state, '--metrics-port', '0', '--log-level', 'info', '--json'];
  // `enroll serve` creates no identity of a broker.
  await once(runFlotilla(folder, 'init', niceness, ['init', '--state', state]).child, 'exit');
  const enroll = runFlotilla(folder, 'enroll', niceness, [
    ...['enroll', 'serve', '--https-port', '0', ...common],
  ]);
  const { https } = await readyLine(enroll, enrollReady);
  const broker = runFlotilla(folder, 'broker', niceness, [
    ...['broker', 'serve', '--enroll-url', https.url, '--mqtts-port', '0', '--wss-port', '0'],
    ...common,
  ]);
  const { mqtts, metrics } = await readyLine(broker, brokerReady);
  const read = (name: string): Promise<string> => readFile(join(state, 'admin', name), 'utf8');
  const [ca, cert, key] = await Promise.all(['ca.pem', 'chain.pem', 'key.pem'].map(read));
  const admin = { ca: ca ?? '', cert: cert ?? '', key: key ?? '' };
  return {
    state,
    enroll,
    broker,
    enrollUrl: https.url,
    mqtts,
    ca: admin.ca,
    async identity(id) {
      const { token } = await callJson(
        { method: 'POST', url: `${https.url}/v1/tokens`, ...admin, body: { device: id } },
        tokenSchema,
      );
      const own = await generateKey('p256');
      const csr = createCsr({ key: own, commonName: id }).pem;
      const url = `${https.url}/v1/enroll`;
      const body = { device: id, csr };
      const issued = await callJson(
        { method: 'POST', url, ca: admin.ca, bearer: token, body },
        issuedSchema,
      );
      return { cert: issued.chain, key: privateKeyPem(own) };
    },
    async remove(id) {
      const url = `${https.url}/v1/devices/${id}`;
      const { status } = await callHttps({ method: 'DELETE', url, ...admin });
      if (status > 299) throw new Error(`could not delete ${id}: ${status}`);
    },
    async metrics() {
      return (await fetch(new URL('/metrics', metrics.url))).text();
    },
    async close() {
      for (const { child } of [broker, enroll]) {
        if (child.exitCode !== null || child.signalCode !== null) continue;
        child.kill('SIGTERM');
        await once(child, 'exit');
      }
    },
  };
}
