/**
 * The processes of a cluster on one machine: their state folders, arguments and settings.
 *
 * @module
 */
import { symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { makeSecretFolder } from '../../core/atomic-file.ts';
import type { Config } from '../../core/config/config.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { StateFolder } from '../../core/state-folder.ts';
import { ownProgram } from '../lib/own-program.ts';
import type { NodeProgram } from './cluster-node.ts';

export const enrollmentInstances = 2;
const loopback = '127.0.0.1';
const partitionsMin = 2;

export interface NodeSettings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly logLevel: Config['log']['level'];
  /** The URL of the database for both services. */
  readonly database: string;
  /** The URL of the enrollment service for devices. */
  readonly publicUrl: string;
  /** The URL of the enrollment service for the brokers. */
  readonly localUrl: string;
  /** Into how many partitions the brokers divide the identities. */
  readonly partitions: number;
}

/**
 * The number of partitions, so that each broker can hold one.
 *
 * @param configured the setting, if there is one
 * @param recorded that of the database, which cannot change
 * @param brokers how many there are now
 */
export function partitionCount(
  configured: number | undefined,
  recorded: number | undefined,
  brokers: number,
): number {
  return configured ?? recorded ?? Math.max(partitionsMin, brokers);
}

/**
 * The processes of a kind. Prepares the state folder of each below that of the cluster: settings and policy are those of the
 * cluster, and so is the CA of the enrollment instances.
 *
 * @throws FlotillaError `file-write-failed`
 */
export function nodePrograms(
  state: StateFolder,
  kind: NodeProgram['kind'],
  count: number,
  settings: NodeSettings,
): Promise<NodeProgram[]> {
  const numbers = Array.from({ length: count }, (_, at) => at + 1);
  return Promise.all(numbers.map((number) => nodeProgram(state, kind, number, settings)));
}

async function nodeProgram(
  state: StateFolder,
  kind: NodeProgram['kind'],
  number: number,
  settings: NodeSettings,
): Promise<NodeProgram> {
  const name = `${kind === 'broker' ? 'broker' : 'enroll'}-${number}`;
  const folder = join(state.cluster.folder, name);
  await makeSecretFolder(folder);
  const shared = ['flotilla.yaml', 'policy.yaml', ...(kind === 'enrollment' ? ['ca'] : [])];
  for (const file of shared) await link(join('..', '..', file), join(folder, file));
  const program = ownProgram();
  if (program === undefined) throw new FlotillaError('internal', { detail: 'flotilla.mjs' });
  const command =
    kind === 'broker'
      ? [
          'broker',
          'serve',
          '--mqtts-port',
          '0',
          '--wss-port',
          '0',
          '--enroll-url',
          settings.localUrl,
        ]
      : ['enroll', 'serve', '--https-port', '0'];
  const common = ['--host', loopback, '--metrics-port', '0', '--log-level', settings.logLevel];
  const args = [program, ...command, ...common, '--state', folder, '--until-input-ends', '--json'];
  return { name, folder, kind, args, env: environmentOf(settings) };
}

function environmentOf({ env, database, publicUrl, partitions }: NodeSettings): NodeProgram['env'] {
  return {
    ...env,
    FLOTILLA_ENROLL__DATABASE: database,
    FLOTILLA_BROKER__DATABASE: database,
    FLOTILLA_ENROLL__URL: publicUrl,
    FLOTILLA_ENROLL__METRICS_HOST: loopback,
    FLOTILLA_BROKER__METRICS_HOST: loopback,
    FLOTILLA_CLUSTER__PARTITIONS: String(partitions),
    FLOTILLA_CLUSTER__HOST: loopback,
    FLOTILLA_CLUSTER__PORT: '0',
    // The balancer of the cluster says where a client is.
    FLOTILLA_PROXIES: `[${loopback}]`,
    // The service manager hears from the parent only.
    NOTIFY_SOCKET: undefined,
    WATCHDOG_USEC: undefined,
  };
}

async function link(target: string, path: string): Promise<void> {
  try {
    await symlink(target, path);
  } catch (error) {
    // It exists since an earlier start, or an operator has put another file there.
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return;
    throw new FlotillaError('file-write-failed', { detail: path, cause: error });
  }
}
