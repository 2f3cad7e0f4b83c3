/**
 * A PostgreSQL server of Debian for the tests of one file: in a temporary folder, on a Unix socket only.
 *
 * @module
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { loadPg, type PgLibrary } from '../../core/database/pg-library.ts';
import { runChild } from './child.ts';
import { until } from './until.ts';

/** Where Debian installs the servers of each version. */
const versions = '/usr/lib/postgresql';

export interface PostgresServer {
  readonly folder: string;
  /** A new, empty database. Returns its URL for the settings. */
  database(): Promise<string>;
  /** Runs statements in a database. */
  sql(url: string, text: string): Promise<readonly Readonly<Record<string, unknown>>[]>;
  readonly start: () => Promise<void>;
  /** Ends the server and its sessions at once, as a crash does. */
  kill(): Promise<void>;
  /** Stops it and deletes its files. */
  close(): Promise<void>;
}

type Reporter = Pick<ExecutionContext, 'log' | 'pass' | 'title'>;

/**
 * Makes and starts a server. Undefined when the machine has none; then {@link skipsWithoutServer} ends each test.
 */
export async function postgresServer(): Promise<PostgresServer | undefined> {
  const programs = programFolder();
  const library = await installedPg();
  if (programs === undefined || library === undefined) return undefined;
  const folder = mkdtempSync(join(tmpdir(), 'flotilla-pg-'));
  // The server refuses to run as root. Its sockets must be reachable for the test.
  chmodSync(folder, 0o755);
  const user = process.getuid?.() === 0 ? await serverUser(folder) : [];
  const data = join(folder, 'data');
  const nothing = { teardown: () => undefined };
  const [program = '', ...args] = [
    ...user,
    ...[join(programs, 'initdb'), '-D', data, '-A', 'trust', '-U', 'flotilla', '-E', 'UTF8'],
    ...['--locale=C', '--no-sync'],
  ];
  const made = await runChild(nothing, program, args, { cwd: folder });
  if (made.code !== 0) throw new Error(`initdb: ${made.stderr}`);
  let server: ChildProcess | undefined;
  const urlOf = (database: string): string =>
    `postgres://flotilla@/${database}?host=${encodeURIComponent(folder)}`;
  const sql: PostgresServer['sql'] = async (url, text) => {
    const database = /\/([^/?]+)\?/.exec(url)?.[1];
    const client = new library.Client({ host: folder, user: 'flotilla', database });
    client.on('error', () => undefined);
    await client.connect();
    try {
      const { rows } = await client.query({ text, values: [] });
      return rows as Readonly<Record<string, unknown>>[];
    } finally {
      await client.end();
    }
  };
  const start = async (): Promise<void> => {
    const command = [
      ...user,
      ...[join(programs, 'postgres'), '-D', data, '-k', folder],
      ...['-c', 'listen_addresses=', '-c', 'shared_buffers=16MB', '-c', 'logging_collector=off'],
      // The tests end processes, not the machine.
      ...['-c', 'fsync=off', '-c', 'full_page_writes=off'],
    ];
    server = spawn(command[0] ?? '', command.slice(1), { cwd: folder, stdio: 'ignore' });
    await until('the server answers', () =>
      sql(urlOf('postgres'), 'SELECT 1').then(
        () => true,
        () => undefined,
      ),
    );
  };
  const stop = async (signal: NodeJS.Signals): Promise<void> => {
    if (server === undefined || server.exitCode !== null || server.signalCode !== null) return;
    server.kill(signal);
    await once(server, 'exit');
  };
  // The end of the test's process ends the server as well.
  const onExit = (): void => {
    server?.kill('SIGQUIT');
    rmSync(folder, { recursive: true, force: true });
  };
  process.once('exit', onExit);
  await start();
  return {
    folder,
    sql,
    start,
    async database() {
      const name = `f${randomUUID().replaceAll('-', '')}`;
      await sql(urlOf('postgres'), `CREATE DATABASE ${name} TEMPLATE template0`);
      return urlOf(name);
    },
    // SIGQUIT: the sessions end without finishing anything, and the next start recovers.
    kill: () => stop('SIGQUIT'),
    async close() {
      process.off('exit', onExit);
      await stop('SIGQUIT');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Whether this machine can make servers; otherwise the test was reported as skipped. */
export async function hasPostgres(t: Reporter): Promise<boolean> {
  if (programFolder() !== undefined && (await installedPg()) !== undefined) return true;
  skipsWithoutServer(t, undefined);
  return false;
}

/** The server, or undefined after the test was reported as skipped. */
export function skipsWithoutServer(
  t: Reporter,
  server: PostgresServer | undefined,
): PostgresServer | undefined {
  if (server !== undefined) return server;
  const message = 'PostgreSQL is missing (Debian package postgresql, optional npm package pg)';
  if (process.env['FLOTILLA_TEST_NO_SKIP']) throw new Error(`${message}; here nothing is skipped`);
  t.log(`SKIPPED ${t.title}: ${message}`);
  t.pass();
  return undefined;
}

async function installedPg(): Promise<PgLibrary | undefined> {
  return loadPg().catch(() => undefined);
}

function programFolder(): string | undefined {
  try {
    const newest = readdirSync(versions).sort((one, other) => Number(other) - Number(one))[0];
    return newest === undefined ? undefined : join(versions, newest, 'bin');
  } catch {
    return undefined;
  }
}

/** Debian's package creates the user. */
async function serverUser(folder: string): Promise<readonly string[]> {
  const owned = await runChild({ teardown: () => undefined }, 'chown', ['postgres', folder]);
  if (owned.code !== 0) throw new Error(`chown: ${owned.stderr}`);
  return ['setpriv', '--reuid=postgres', '--regid=postgres', '--clear-groups', '--'];
}
