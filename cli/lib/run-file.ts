/**
 * The services that run on a state folder. Each has a JSON file in `run/`, written when it is ready
 * and removed when it stops, through which the other commands find it, and a lock file, so that two
 * processes never use the same state.
 *
 * @module
 */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { makeSecretFolder, writeFileAtomic } from '../../core/atomic-file.ts';
import type { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { lockFile } from '../../core/folder-lock.ts';
import type { Lifecycle } from '../../core/lifecycle.ts';
import { systemProcesses } from '../../core/process-identity.ts';
import { stateFolder, type StateFolder } from '../../core/state-folder.ts';
import { reachable } from './host-port.ts';

const hostPort = z.object({ host: z.string(), port: z.int() });

/** The process that wrote the file; see core/process-identity.ts. */
const writerSchema = z.object({
  pid: z.int(),
  boot: z.string(),
  namespace: z.string(),
  started: z.string(),
});

const enrollRunSchema = z.object({
  process: writerSchema,
  https: z.object({ url: z.string() }),
  metrics: z.object({ url: z.string() }).optional(),
  fingerprint: z.string(),
});
const brokerRunSchema = z.object({
  process: writerSchema,
  mqtts: hostPort,
  wss: hostPort,
  metrics: z.object({ url: z.string() }),
});
const clusterRunSchema = z.object({
  process: writerSchema,
  /** The URL of the database of the brokers. */
  database: z.string().optional(),
  nodes: z.array(
    z.object({
      name: z.string(),
      role: z.enum(['active', 'standby', 'starting', 'replaced', 'silent']),
      pid: z.int().nullable(),
    }),
  ),
});
export type EnrollRun = z.infer<typeof enrollRunSchema>;
export type BrokerRun = z.infer<typeof brokerRunSchema>;
export type ClusterRun = z.infer<typeof clusterRunSchema>;
type Run = EnrollRun | BrokerRun | ClusterRun;

/** Reads the addresses of the enrollment service; undefined when it does not run here. */
export function readEnrollRun(state: StateFolder): Promise<EnrollRun | undefined> {
  return readRun(state.run.enroll, enrollRunSchema);
}

/** Reads the addresses of the broker; undefined when it does not run here. */
export function readBrokerRun(state: StateFolder): Promise<BrokerRun | undefined> {
  return readRun(state.run.broker, brokerRunSchema);
}

/** Reads the processes of a cluster; undefined when none runs here. */
export function readClusterRun(state: StateFolder): Promise<ClusterRun | undefined> {
  return readRun(state.run.cluster, clusterRunSchema);
}

/** The `host:port` under which this machine reaches the broker of the folder; undefined when none runs. */
export async function localBroker(folder: string): Promise<string | undefined> {
  const run = await readBrokerRun(stateFolder(folder));
  if (run === undefined) return undefined;
  const host = reachable(run.mqtts.host);
  return `${host.includes(':') ? `[${host}]` : host}:${run.mqtts.port}`;
}

/** Publishes the addresses of a service; the returned function removes them. */
export async function writeRun(
  path: string,
  addresses: Omit<EnrollRun, 'process'> | Omit<BrokerRun, 'process'> | Omit<ClusterRun, 'process'>,
): Promise<() => Promise<void>> {
  const run = { pid: process.pid, process: systemProcesses.self, ...addresses };
  await writeFileAtomic(path, `${JSON.stringify(run, null, 2)}\n`);
  return () => rm(path, { force: true });
}

/**
 * Locks the state folder for services, so that no second process writes the same files. Closing the
 * lifecycle unlocks it.
 *
 * @returns resolves when another process took the lock while this one was paused: then this one must stop
 * @throws FlotillaError `state-in-use`
 */
export async function lockState(
  state: StateFolder,
  services: readonly ('enroll' | 'broker')[],
  lifecycle: Lifecycle,
): Promise<{ readonly lost: Promise<FlotillaError> }> {
  await makeSecretFolder(state.run.folder);
  let lose: (error: FlotillaError) => void = () => undefined;
  const lost = new Promise<FlotillaError>((resolve) => (lose = resolve));
  for (const service of services) {
    const path = join(state.run.folder, `${service}.lock`);
    const unlock = await lockFile(path, { code: 'state-in-use', lost: (error) => lose(error) });
    lifecycle.add(`lock of ${service}`, unlock);
  }
  return { lost };
}

async function readRun<T extends Run>(path: string, schema: z.ZodType<T>): Promise<T | undefined> {
  let content: unknown;
  try {
    content = JSON.parse(await readFile(path, 'utf8'));
  } catch {
    return undefined;
  }
  const run = schema.safeParse(content);
  if (!run.success) return undefined;
  return systemProcesses.stateOf(run.data.process) === 'ended' ? undefined : run.data;
}
