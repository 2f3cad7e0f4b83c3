/**
 * A PostgreSQL primary and its synchronous standby, from the programs of Debian, on two ports of this machine. The primary
 * can be killed: the standby is promoted, and a new standby takes the place of the killed server.
 *
 * @module
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { loadPg } from '../../core/database/pg-library.ts';
import { freePort } from '../brokers.ts';

const run = promisify(execFile);
const versions = '/usr/lib/postgresql';
const answerTries = 1200;
const betweenTriesMs = 50;

/** Both servers have these settings, so that a promoted one waits for its standby as the former one did. */
const settings: readonly string[] = [
  'listen_addresses=127.0.0.1',
  'unix_socket_directories=',
  'synchronous_standby_names=*',
  'synchronous_commit=on',
  'wal_level=replica',
  'hot_standby=on',
  'shared_buffers=64MB',
  'logging_collector=off',
];

interface Server {
  readonly port: number;
  readonly data: string;
  child: ChildProcess | undefined;
}

/** Times of a failover, in ms since the kill. */
export interface DatabaseFailover {
  /** Until the promoted server could write, if it did not have to wait for its standby. */
  readonly promotedMs: number;
  /** Until the new standby was synchronous. Until then, no commit is confirmed. */
  readonly redundantMs: number;
}

export class PostgresPair {
  readonly #folder: string;
  readonly #programs: string;
  readonly #user: readonly string[];
  #primary: Server;
  #standby: Server;

  private constructor(
    folder: string,
    programs: string,
    user: readonly string[],
    ports: readonly [number, number],
  ) {
    this.#folder = folder;
    this.#programs = programs;
    this.#user = user;
    const [first, second] = ports.map((port) => ({
      ...{ port, data: join(folder, `server-${port}`) },
      child: undefined,
    }));
    if (first === undefined || second === undefined) throw new Error('two ports are needed');
    this.#primary = first;
    this.#standby = second;
    process.once('exit', this.#end);
  }

  /** Makes both servers, and an empty database. @throws Error when PostgreSQL is not installed */
  static async make(): Promise<PostgresPair> {
    const newest = readdirSync(versions).sort((one, other) => Number(other) - Number(one))[0];
    if (newest === undefined) throw new Error('the Debian package postgresql is missing');
    const folder = mkdtempSync(join(tmpdir(), 'flotilla-pair-'));
    chmodSync(folder, 0o755);
    // The server refuses to run as root.
    const isRoot = process.getuid?.() === 0;
    if (isRoot) await run('chown', ['postgres', folder]);
    const user = isRoot
      ? ['setpriv', '--reuid=postgres', '--regid=postgres', '--clear-groups', '--']
      : [];
    const ports = [await freePort(), await freePort()] as const;
    const pair = new PostgresPair(folder, join(versions, newest, 'bin'), user, ports);
    try {
      await pair.#create();
    } catch (error) {
      await pair.close();
      throw error;
    }
    return pair;
  }

  /** The address of the database, for `broker.database`. It names both servers. */
  get url(): string {
    const ports = [this.#primary.port, this.#standby.port].sort((one, other) => one - other);
    const hosts = ports.map((port) => `127.0.0.1:${port}`).join(',');
    return `postgres://flotilla@${hosts}/flotilla?sslmode=disable`;
  }

  /** How many brokers are connected: the active one and those that wait. */
  async brokers(): Promise<number> {
    const text = `SELECT count(*)::int AS count FROM pg_stat_activity
      WHERE application_name ~ '^flotilla-[0-9a-f]{8}-'`;
    const [found] = await this.#sql(this.#primary, 'flotilla', [text]);
    return Number(found?.['count'] ?? 0);
  }

  /** Kills the primary with its sessions, promotes the standby, and starts a new standby. */
  async failover(): Promise<DatabaseFailover> {
    const startMs = performance.now();
    const killed = this.#primary;
    await killServer(killed);
    this.#primary = this.#standby;
    this.#standby = killed;
    await this.#sql(this.#primary, 'flotilla', ['SELECT pg_promote(true, 60)']);
    const promotedMs = performance.now() - startMs;
    await this.#addStandby();
    return { promotedMs, redundantMs: performance.now() - startMs };
  }

  /** Ends both servers and deletes their files. */
  async close(): Promise<void> {
    process.off('exit', this.#end);
    // A server that is ending still writes files.
    await Promise.all([this.#primary, this.#standby].map(quitServer));
    this.#end();
  }

  readonly #end = (): void => {
    // SIGQUIT: the sessions end without finishing anything.
    for (const { child } of [this.#primary, this.#standby]) child?.kill('SIGQUIT');
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  };

  async #create(): Promise<void> {
    const options = ['-A', 'trust', '-U', 'flotilla', '-E', 'UTF8', '--locale=C', '--no-sync'];
    await this.#program('initdb', ['-D', this.#primary.data, ...options]);
    await this.#start(this.#primary);
    // There is no standby yet for which it could wait.
    await this.#sql(this.#primary, 'postgres', [
      'SET synchronous_commit = local',
      'CREATE DATABASE flotilla TEMPLATE template0',
    ]);
    await this.#addStandby();
  }

  async #addStandby(): Promise<void> {
    const { data } = this.#standby;
    await rm(data, { recursive: true, force: true });
    const from = ['-h', '127.0.0.1', '-p', String(this.#primary.port), '-U', 'flotilla'];
    const how = ['-R', '-X', 'stream', '-c', 'fast', '--no-sync'];
    await this.#program('pg_basebackup', ['-D', data, ...from, ...how]);
    await this.#start(this.#standby);
    const text = "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'";
    for (let tries = 0; tries < answerTries; tries++) {
      if ((await this.#sql(this.#primary, 'flotilla', [text])).length > 0) return;
      await pause(betweenTriesMs);
    }
    throw new Error('the standby of the database did not become synchronous');
  }

  async #start(server: Server): Promise<void> {
    const chosen = [`port=${server.port}`, ...settings].flatMap((one) => ['-c', one]);
    const [program = '', ...args] = [
      ...this.#user,
      ...[join(this.#programs, 'postgres'), '-D', server.data, ...chosen],
    ];
    server.child = spawn(program, args, { cwd: this.#folder, stdio: 'ignore' });
    for (let tries = 0; tries < answerTries; tries++) {
      if (server.child.exitCode !== null) throw new Error('PostgreSQL ended at its start');
      const answers = await this.#sql(server, 'postgres', ['SELECT 1']).catch(() => undefined);
      if (answers !== undefined) return;
      await pause(betweenTriesMs);
    }
    throw new Error('PostgreSQL did not start in time');
  }

  async #program(name: string, args: readonly string[]): Promise<void> {
    const [program = '', ...all] = [...this.#user, join(this.#programs, name), ...args];
    await run(program, all, { cwd: this.#folder });
  }

  async #sql(
    { port }: Server,
    database: string,
    texts: readonly string[],
  ): Promise<readonly Readonly<Record<string, unknown>>[]> {
    const { Client } = await loadPg();
    const client = new Client({ host: '127.0.0.1', port, user: 'flotilla', database });
    client.on('error', () => undefined);
    await client.connect();
    try {
      let rows: unknown[] = [];
      for (const text of texts) ({ rows } = await client.query({ text, values: [] }));
      // A cast at the boundary to SQL.
      return rows as Readonly<Record<string, unknown>>[];
    } finally {
      await client.end();
    }
  }
}

async function quitServer({ child }: Server): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGQUIT');
  await ended;
}

/** Ends all processes of a server at once, as the loss of its machine does: no session finishes anything. */
async function killServer({ child }: Server): Promise<void> {
  if (child?.pid === undefined) throw new Error('the server does not run');
  // Stopped, it starts no more of them.
  child.kill('SIGSTOP');
  const list = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8');
  const ended = once(child, 'exit');
  for (const pid of list.trim().split(' ')) process.kill(Number(pid), 'SIGKILL');
  child.kill('SIGKILL');
  await ended;
}
