/**
 * The services that run on a state folder. Each has a JSON file in `run/`, written when it is ready
 * and removed when it stops, through which the other commands find it, and a lock file, so that two
 * processes never use the same state.
 *
 * @module
 */
import { open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { makeSecretFolder, writeFileAtomic } from '../../core/atomic-file.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { Lifecycle } from '../../core/lifecycle.ts';
import type { StateFolder } from '../../core/state-folder.ts';

const hostPort = z.object({ host: z.string(), port: z.int() });

const enrollRunSchema = z.object({
  pid: z.int(),
  https: z.object({ url: z.string() }),
  fingerprint: z.string(),
});
const brokerRunSchema = z.object({
  pid: z.int(),
  mqtts: hostPort,
  wss: hostPort,
  metrics: z.object({ url: z.string() }),
});
export type EnrollRun = z.infer<typeof enrollRunSchema>;
export type BrokerRun = z.infer<typeof brokerRunSchema>;

/** Reads the addresses of the enrollment service; undefined when it does not run here. */
export function readEnrollRun(state: StateFolder): Promise<EnrollRun | undefined> {
  return readRun(state.run.enroll, enrollRunSchema);
}

/** Reads the addresses of the broker; undefined when it does not run here. */
export function readBrokerRun(state: StateFolder): Promise<BrokerRun | undefined> {
  return readRun(state.run.broker, brokerRunSchema);
}

/** Publishes the addresses of a service; the returned function removes them. */
export async function writeRun(
  path: string,
  run: EnrollRun | BrokerRun,
): Promise<() => Promise<void>> {
  await writeFileAtomic(path, `${JSON.stringify(run, null, 2)}\n`);
  return () => rm(path, { force: true });
}

/**
 * Locks the state folder for services, so that no second process writes the same files. Closing the
 * lifecycle unlocks it.
 *
 * @throws FlotillaError `state-in-use`
 */
export async function lockState(
  state: StateFolder,
  services: readonly ('enroll' | 'broker')[],
  lifecycle: Lifecycle,
): Promise<void> {
  for (const service of services) {
    lifecycle.add(`lock of ${service}`, await lockFor(service, state));
  }
}

/** @returns a function that unlocks */
async function lockFor(
  service: 'enroll' | 'broker',
  state: StateFolder,
): Promise<() => Promise<void>> {
  await makeSecretFolder(state.run.folder);
  const path = join(state.run.folder, `${service}.lock`);
  const mine = `${process.pid} ${(await startTimeOf(process.pid)) ?? ''}`;
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      const file = await open(path, 'wx', 0o600);
      await file.writeFile(mine);
      await file.close();
      return () => rm(path, { force: true });
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    }
    const holder = (await readFile(path, 'utf8').catch(() => '')).split(' ');
    const pid = Number(holder[0]);
    const started = pid > 0 ? await startTimeOf(pid) : undefined;
    if (pid > 0 && started !== undefined && started === (holder[1] ?? '')) {
      throw new FlotillaError('state-in-use', { detail: `${state.root}, by process ${pid}` });
    }
    await rm(path, { force: true });
  }
  throw new FlotillaError('state-in-use', { detail: state.root });
}

async function readRun<T extends { pid: number }>(
  path: string,
  schema: z.ZodType<T>,
): Promise<T | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch {
    return undefined;
  }
  const run = schema.safeParse(JSON.parse(text));
  if (!run.success || (await startTimeOf(run.data.pid)) === undefined) return undefined;
  return run.data;
}

/** Distinguishes a process from a later one with the same id; undefined when there is none. */
async function startTimeOf(pid: number): Promise<string | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'latin1');
    // Field 22, counted from the end of the name, which may contain spaces and parentheses itself.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    // Not Linux, or no such process: signal 0 only checks whether the process exists.
    try {
      process.kill(pid, 0);
      return 'alive';
    } catch {
      return undefined;
    }
  }
}
