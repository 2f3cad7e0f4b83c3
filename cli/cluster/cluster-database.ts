/**
 * The database of a cluster on one machine: a PostgreSQL server without a TCP port, with files and socket in the state
 * folder. The server refuses to run as root; then its files belong to the user postgres and are in the home of that user,
 * because others cannot pass through the state folder.
 *
 * @module
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, chown, mkdir, open, readFile, realpath, rename, symlink } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { makeSecretFolder, secretFileMode } from '../../core/atomic-file.ts';
import { loadPg } from '../../core/database/pg-library.ts';
import { FlotillaError, messageOf } from '../../core/errors/flotilla-error.ts';
import type { StateFolder } from '../../core/state-folder.ts';
import {
  postgresPrograms,
  postgresUser,
  type PostgresPrograms,
  type SystemUser,
} from './postgres-programs.ts';

const socketName = '.s.PGSQL.5432';
/** Limit of the kernel for the path of a Unix socket, without its end. */
const socketPathMaxBytes = 107;
const startTimeoutMs = 120_000;
const probeIntervalMs = 100;
const restartAfterMs = 1000;
/** Connections of 5 brokers with 32 partitions and of 2 enrollment instances, with a reserve. */
const connectionsMax = 200;

export interface ClusterDatabase {
  /** For `enroll.database` and `broker.database`. */
  readonly url: string;
  readonly pid: () => number | undefined;
  close(): Promise<void>;
}

/**
 * Creates the database if it does not exist, and starts its server. A server that ends is reported and started again.
 *
 * @param path the variable PATH
 * @param report prints a sentence
 * @throws FlotillaError `cluster-postgres-missing`, `cluster-postgres-user`, `cluster-database-failed`,
 *   `database-package-missing`
 */
export async function startClusterDatabase(
  state: StateFolder,
  path: string,
  report: (text: string) => void,
): Promise<ClusterDatabase> {
  const { database: link } = state.cluster;
  const version = await readFile(join(link, 'PG_VERSION'), 'utf8').catch(() => undefined);
  const programs = postgresPrograms(path, version?.trim());
  const user = postgresUser();
  await loadPg();
  await makeSecretFolder(state.cluster.folder);
  if (version === undefined) await createDatabase(state, programs, user);
  const folder = await realpath(link);
  const socket = join(folder, socketName);
  if (Buffer.byteLength(socket) > socketPathMaxBytes) {
    const detail = `the path of its socket has more than ${socketPathMaxBytes} bytes: ${socket}`;
    throw new FlotillaError('cluster-database-failed', { detail });
  }
  await stopFormer(folder, programs, user);
  const server = new DatabaseServer({ folder, log: state.cluster.databaseLog, programs, user });
  await server.start();
  void server.keepRunning(report);
  return {
    url: `postgres://flotilla@/postgres?host=${encodeURIComponent(folder)}`,
    pid: () => server.pid,
    close: () => server.close(),
  };
}

interface ServerFiles {
  readonly folder: string;
  readonly log: string;
  readonly programs: PostgresPrograms;
  readonly user: SystemUser | undefined;
}

class DatabaseServer {
  readonly #files: ServerFiles;
  readonly #closing = new AbortController();
  #process: ChildProcess | undefined;
  #ended: Promise<unknown> = Promise.resolve();

  constructor(files: ServerFiles) {
    this.#files = files;
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  async start(): Promise<void> {
    const { folder, log, programs, user } = this.#files;
    const output = await open(log, 'a', secretFileMode);
    if (this.#closing.signal.aborted) return output.close();
    const args = [
      ...['-D', folder, '-k', folder, '-c', 'listen_addresses='],
      ...['-c', 'unix_socket_permissions=0700', '-c', 'logging_collector=off'],
      ...['-c', `max_connections=${connectionsMax}`, '-c', 'shared_buffers=32MB'],
    ];
    try {
      this.#process = spawn(programs.postgres, args, {
        cwd: folder,
        stdio: ['ignore', output.fd, output.fd],
        // Ctrl-C reaches the whole group of the terminal: the server must end after its clients.
        detached: true,
        ...asUser(user),
      });
    } finally {
      await output.close();
    }
    this.#ended = once(this.#process, 'exit').catch(() => undefined);
    await this.#untilReady(this.#process);
  }

  /** Starts the server again whenever it ends. */
  async keepRunning(report: (text: string) => void): Promise<void> {
    const { signal } = this.#closing;
    const isClosing = (): boolean => signal.aborted;
    for (;;) {
      await this.#ended;
      if (isClosing()) return;
      report('the server of the database ended and is started again');
      await delay(restartAfterMs, undefined, { signal }).catch(() => undefined);
      if (isClosing()) return;
      await this.start().catch((error: unknown) => {
        if (!isClosing()) report(messageOf(error));
      });
    }
  }

  async close(): Promise<void> {
    this.#closing.abort();
    const server = this.#process;
    if (server === undefined || hasEnded(server)) return;
    // The fast shutdown: sessions end, and everything is written.
    server.kill('SIGINT');
    await this.#ended;
  }

  async #untilReady(server: ChildProcess): Promise<void> {
    const { Client } = await loadPg();
    let failure: Error | undefined;
    server.once('error', (error) => (failure = error));
    const deadlineMs = performance.now() + startTimeoutMs;
    for (;;) {
      const client = new Client({
        host: this.#files.folder,
        user: 'flotilla',
        database: 'postgres',
      });
      client.on('error', () => undefined);
      const isReady = await client.connect().then(
        () => true,
        () => false,
      );
      await client.end().catch(() => undefined);
      if (isReady) return;
      if (failure !== undefined || hasEnded(server) || performance.now() > deadlineMs) {
        throw new FlotillaError('cluster-database-failed', {
          detail: await lastLine(this.#files.log),
          cause: failure,
        });
      }
      await delay(probeIntervalMs);
    }
  }
}

function hasEnded(server: ChildProcess): boolean {
  return server.exitCode !== null || server.signalCode !== null;
}

/** An interrupted creation leaves nothing at the place where the next start looks. */
async function createDatabase(
  state: StateFolder,
  { initdb }: PostgresPrograms,
  user: SystemUser | undefined,
): Promise<void> {
  const name = randomBytes(6).toString('hex');
  const folder =
    user === undefined
      ? resolve(state.cluster.folder, `new-${name}`)
      : join(user.home, `flotilla-${name}`);
  await mkdir(folder, { mode: 0o700 });
  if (user !== undefined) await chown(folder, user.uid, user.gid);
  await chmod(folder, 0o700);
  // Only the owner of the folder reaches the socket in it, so that the server needs no password.
  await run(
    initdb,
    ['-D', folder, '-U', 'flotilla', '-A', 'trust', '-E', 'UTF8', '--locale=C'],
    folder,
    user,
  );
  if (user === undefined) await rename(folder, state.cluster.database);
  else await symlink(folder, state.cluster.database);
}

/** Ends the server that a killed `flotilla up` left behind. */
async function stopFormer(
  folder: string,
  { pgCtl }: PostgresPrograms,
  user: SystemUser | undefined,
): Promise<void> {
  if (!existsSync(join(folder, 'postmaster.pid'))) return;
  // A file without its process is no reason to stop: the server replaces it.
  await run(pgCtl, ['stop', '-D', folder, '-m', 'fast', '-w'], folder, user).catch(() => undefined);
}

/** @throws FlotillaError `cluster-database-failed` */
async function run(
  program: string,
  args: readonly string[],
  cwd: string,
  user: SystemUser | undefined,
): Promise<void> {
  const child = spawn(program, args, { cwd, stdio: ['ignore', 'ignore', 'pipe'], ...asUser(user) });
  const texts: string[] = [];
  child.stderr.setEncoding('utf8');
  child.stderr.on('data', (text: string) => texts.push(text));
  const outcome = await once(child, 'close').catch((error: unknown) => error);
  if (Array.isArray(outcome) && outcome[0] === 0) return;
  throw new FlotillaError('cluster-database-failed', {
    detail: `${program}: ${texts.join('').trim().slice(0, 500)}`,
    ...(outcome instanceof Error ? { cause: outcome } : {}),
  });
}

function asUser(user: SystemUser | undefined): { uid?: number; gid?: number } {
  return user === undefined ? {} : { uid: user.uid, gid: user.gid };
}

async function lastLine(path: string): Promise<string> {
  const text = await readFile(path, 'utf8').catch(() => '');
  return text.trimEnd().split('\n').at(-1) ?? '';
}
