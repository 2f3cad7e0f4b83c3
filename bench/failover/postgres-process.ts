/**
 * A PostgreSQL server of a benchmark: a process of the programs of Debian with its own files, on a port of this machine.
 *
 * @module
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
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

export type SqlRows = readonly Readonly<Record<string, unknown>>[];

/** The programs, and a folder that the servers may write. */
export class DebianPostgres {
  readonly folder: string;
  readonly #programs: string;
  readonly #user: readonly string[];

  private constructor(folder: string, programs: string, user: readonly string[]) {
    this.folder = folder;
    this.#programs = programs;
    this.#user = user;
  }

  /** @throws Error when PostgreSQL is not installed */
  static async find(): Promise<DebianPostgres> {
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
    return new DebianPostgres(folder, join(versions, newest, 'bin'), user);
  }

  /** Runs a program to its end. */
  async run(name: string, args: readonly string[]): Promise<void> {
    const [program = '', ...all] = this.#command(name, args);
    await run(program, all, { cwd: this.folder });
  }

  /** Creates the files of a server with the superuser `flotilla`. */
  async create(data: string): Promise<void> {
    const options = ['-A', 'trust', '-U', 'flotilla', '-E', 'UTF8', '--locale=C', '--no-sync'];
    await this.run('initdb', ['-D', data, ...options]);
  }

  start(name: string, args: readonly string[]): ChildProcess {
    const [program = '', ...all] = this.#command(name, args);
    return spawn(program, all, { cwd: this.folder, stdio: 'ignore' });
  }

  /** Deletes the folder with all files of all servers, which must have ended. */
  remove(): void {
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }

  #command(name: string, args: readonly string[]): readonly string[] {
    return [...this.#user, join(this.#programs, name), ...args];
  }
}

export class PostgresProcess {
  readonly port: number;
  readonly data: string;
  readonly #programs: DebianPostgres;
  readonly #settings: readonly string[];
  #child: ChildProcess | undefined = undefined;

  /** @param settings as `name=value` */
  constructor(programs: DebianPostgres, port: number, settings: readonly string[]) {
    this.#programs = programs;
    this.port = port;
    this.data = join(programs.folder, `server-${port}`);
    this.#settings = settings;
  }

  /** Resolves when the server answers. */
  async start(): Promise<void> {
    const all = [
      ...[`port=${this.port}`, 'listen_addresses=127.0.0.1', 'unix_socket_directories='],
      ...this.#settings,
    ];
    const chosen = all.flatMap((one) => ['-c', one]);
    const child = this.#programs.start('postgres', ['-D', this.data, ...chosen]);
    this.#child = child;
    for (let tries = 0; tries < answerTries; tries++) {
      if (child.exitCode !== null) throw new Error('PostgreSQL ended at its start');
      const answers = await this.sql('postgres', ['SELECT 1']).catch(() => undefined);
      if (answers !== undefined) return;
      await pause(betweenTriesMs);
    }
    throw new Error('PostgreSQL did not start in time');
  }

  /** Sends statements in one session. @returns the rows of the last one */
  async sql(database: string, texts: readonly string[]): Promise<SqlRows> {
    const { Client } = await loadPg();
    const client = new Client({ host: '127.0.0.1', port: this.port, user: 'flotilla', database });
    client.on('error', () => undefined);
    await client.connect();
    try {
      let rows: unknown[] = [];
      for (const text of texts) ({ rows } = await client.query({ text, values: [] }));
      // A cast at the boundary to SQL.
      return rows as SqlRows;
    } finally {
      await client.end();
    }
  }

  /** SIGQUIT, without waiting: the sessions end without finishing anything. */
  signalEnd(): void {
    this.#child?.kill('SIGQUIT');
  }

  async quit(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGQUIT');
    await ended;
  }

  /** Ends all its processes at once, as the loss of its machine does: no session finishes anything. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child?.pid === undefined) throw new Error('the server does not run');
    // Stopped, it starts no more of them.
    child.kill('SIGSTOP');
    const list = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8');
    const ended = once(child, 'exit');
    for (const pid of list.trim().split(' ')) process.kill(Number(pid), 'SIGKILL');
    child.kill('SIGKILL');
    await ended;
  }
}

export interface SinglePostgres {
  /** Creates an empty database. @returns its URL */
  database(): Promise<string>;
  close(): Promise<void>;
}

/** A server without a standby. Its commits are on disk. */
export async function singlePostgres(): Promise<SinglePostgres> {
  const programs = await DebianPostgres.find();
  const server = new PostgresProcess(programs, await freePort(), [
    'shared_buffers=64MB',
    'max_connections=200',
    'logging_collector=off',
  ]);
  const end = (): void => {
    server.signalEnd();
    programs.remove();
  };
  process.once('exit', end);
  await programs.create(server.data);
  await server.start();
  let count = 0;
  return {
    async database() {
      const name = `flotilla${++count}`;
      await server.sql('postgres', [`CREATE DATABASE ${name} TEMPLATE template0`]);
      return `postgres://flotilla@127.0.0.1:${server.port}/${name}?sslmode=disable`;
    },
    async close() {
      process.off('exit', end);
      await server.quit();
      programs.remove();
    },
  };
}
