/**
 * One session with the PostgreSQL server that can write.
 *
 * @module
 */
import { Socket } from 'node:net';
import { checkServerIdentity } from 'node:tls';
import type { Config } from '../config/config.ts';
import { parseDatabaseUrl, type DatabaseAddress } from '../config/database-url.ts';
import { readSetting } from '../config/setting-file.ts';
import { FlotillaError, messageOf } from '../errors/flotilla-error.ts';
import { passwordIn } from './password-file.ts';
import { loadPg, type PgClient, type PgLibrary } from './pg-library.ts';

export interface DatabaseAccess {
  readonly address: DatabaseAddress;
  readonly password: string | undefined;
  /** The text of the file that PGPASSFILE names. */
  readonly passwordLines?: string | undefined;
  /** PEM; undefined: the store of the system. */
  readonly ca: string | undefined;
}

/** Undefined when no database is configured. @throws FlotillaError `config-unreadable`, `file-too-open` */
export async function databaseAccess(
  settings: Config['enroll' | 'broker'],
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<DatabaseAccess | undefined> {
  const { database, databasePasswordFile: secret, databaseCaFile: ca } = settings;
  if (database === undefined) return undefined;
  const lines = secret === undefined ? env['PGPASSFILE'] : undefined;
  return {
    address: parseDatabaseUrl(database),
    password:
      secret === undefined ? env['PGPASSWORD'] : (await readSetting(secret, 'secret')).trim(),
    passwordLines: lines === undefined ? undefined : await readSetting(lines, 'secret'),
    ca: ca === undefined ? undefined : await readSetting(ca, 'public'),
  };
}

const connectTimeoutMs = 5000;
/** Longer than any statement takes while server and synchronous standby work. */
const answerTimeoutMs = 30_000;
const versionMin = 140_000;

/** SQLSTATE of warnings, and of those about a session that is being ended. */
const warning = /^(01|57P)/;

/** How the server answers is checked before the session is used for anything. */
interface ServerFacts {
  readonly version: number;
  readonly encoding: string;
  readonly reading: boolean;
}

/**
 * The server notices in seconds that this machine is gone, and releases the lock of the session. A commit is
 * acknowledged only when it is durable.
 */
const preparation = `SELECT
  set_config('search_path', 'pg_catalog', false),
  set_config('tcp_keepalives_idle', '5', false),
  set_config('tcp_keepalives_interval', '2', false),
  set_config('tcp_keepalives_count', '3', false),
  set_config('tcp_user_timeout', '15000', false),
  set_config('idle_in_transaction_session_timeout', '10000', false),
  set_config('lock_timeout', '10000', false),
  set_config('synchronous_commit', replace(current_setting('synchronous_commit'), 'off', 'on'), false),
  current_setting('server_version_num')::int AS version,
  getdatabaseencoding() AS encoding,
  pg_is_in_recovery() OR current_setting('default_transaction_read_only')::bool AS reading`;

export class DatabaseConnection {
  readonly #client: PgClient;
  readonly #socket: Socket;
  #isOpen = true;
  #warnings = 0;
  #ended: () => void = () => undefined;

  private constructor(client: PgClient, socket: Socket) {
    this.#client = client;
    this.#socket = socket;
    client.on('error', () => this.#end());
    client.on('end', () => this.#end());
    client.on('notice', ({ code }) => {
      if (warning.test(code ?? '')) this.#warnings++;
    });
  }

  /**
   * Connects to the first host that can write.
   *
   * @param name names the session in `pg_stat_activity`
   * @throws FlotillaError `database-package-missing`, `database-unreachable`, `database-refused`, `database-unsuitable`
   */
  static async open(access: DatabaseAccess, name: string): Promise<DatabaseConnection> {
    const library = await loadPg();
    const failures: FlotillaError[] = [];
    for (const place of access.address.hosts) {
      try {
        return await connect(library, access, place, name);
      } catch (error) {
        failures.push(startFailure(error, `${place.host}:${place.port}`));
      }
    }
    const [first] = failures;
    const detail = failures.map((one) => one.detail ?? one.message).join('; ');
    const code = failures.length === 1 ? first?.code : 'database-unreachable';
    throw new FlotillaError(code ?? 'database-unreachable', { detail, cause: first?.cause });
  }

  /** @internal */
  static async prepared(client: PgClient, socket: Socket): Promise<DatabaseConnection> {
    const connection = new DatabaseConnection(client, socket);
    try {
      await client.connect();
      const [facts] = await connection.query<ServerFacts>(preparation);
      const { version = 0, encoding = '', reading = true } = facts ?? {};
      const fault =
        version < versionMin
          ? `the server is PostgreSQL ${Math.floor(version / 10_000)}; 14 or newer is needed`
          : encoding !== 'UTF8'
            ? `the encoding of the database is ${encoding}; UTF8 is needed`
            : undefined;
      if (fault !== undefined) throw new FlotillaError('database-unsuitable', { detail: fault });
      if (reading) throw new Error('the server only reads: it is a standby');
      return connection;
    } catch (error) {
      connection.destroy();
      throw error;
    }
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Called once, when the session ends for any reason. */
  onEnd(listener: () => void): void {
    this.#ended = listener;
    if (!this.#isOpen) listener();
  }

  /**
   * Runs one statement, which is a transaction unless one is open.
   *
   * @param name of a statement that is sent often: the server keeps its plan
   * @throws the error of the library; see {@link isRolledBack}. After any other the outcome is not known.
   */
  async query<Row extends object>(
    text: string,
    values: readonly unknown[] = [],
    name?: string,
  ): Promise<readonly Row[]> {
    const warnings = this.#warnings;
    const timer = setTimeout(() => this.destroy(), answerTimeoutMs);
    try {
      const { rows } = await this.#client.query({
        text,
        values: [...values],
        ...(name === undefined ? {} : { name }),
      });
      // A commit that does not wait for the synchronous standby any more says so in a warning only.
      if (this.#warnings > warnings) throw new Error('the server warned about this statement');
      // A cast at the boundary to SQL: the statement names its columns.
      return rows as Row[];
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends the session without a word: what the server is doing has an unknown outcome. */
  destroy(): void {
    this.#socket.destroy();
    this.#end();
  }

  async close(): Promise<void> {
    const timer = setTimeout(() => this.destroy(), connectTimeoutMs);
    try {
      if (this.#isOpen) await this.#client.end();
    } catch {
      // It has ended already.
    } finally {
      clearTimeout(timer);
      this.destroy();
    }
  }

  #end(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#ended();
  }
}

function connect(
  { Client }: PgLibrary,
  { address, password, passwordLines = '', ca }: DatabaseAccess,
  { host, port }: DatabaseAddress['hosts'][number],
  name: string,
): Promise<DatabaseConnection> {
  const socket = new Socket();
  const { USER = '', PGUSER = USER } = process.env;
  const login = { user: address.user ?? PGUSER, database: address.database };
  const client = new Client({
    host,
    port,
    ...login,
    application_name: name,
    connectionTimeoutMillis: connectTimeoutMs,
    keepAlive: true,
    stream: () => socket,
    // Never undefined: the library would look for one elsewhere, with a warning.
    password: password ?? passwordIn(passwordLines, { ...login, host, port }) ?? '',
    ssl:
      address.tls === 'disable'
        ? false
        : {
            ...(ca === undefined ? {} : { ca }),
            rejectUnauthorized: address.tls !== 'require',
            // By itself, the library compares the certificate with `localhost` if the host is an address.
            checkServerIdentity: (_name, certificate) =>
              address.tls === 'verify-full' ? checkServerIdentity(host, certificate) : undefined,
          },
  });
  return DatabaseConnection.prepared(client, socket);
}

/** Errors that end the session: they may come after the commit. */
const fatal = /^(08|57P|XX)/;

/**
 * Whether the server answered that a statement failed: nothing of it has happened. By SQLSTATE, because the server
 * translates the severity.
 */
export function isRolledBack(error: unknown): boolean {
  const state = error instanceof Error && 'code' in error ? String(error.code) : '';
  return /^[0-9A-Z]{5}$/.test(state) && 'severity' in Object(error) && !fatal.test(state);
}

/** Classes of SQLSTATE: authorization, unknown database, missing rights. */
const refusals = /^(28...|3D000|42501)$/;

function startFailure(error: unknown, place: string): FlotillaError {
  if (error instanceof FlotillaError) {
    return new FlotillaError(error.code, { detail: `${place}: ${error.detail ?? ''}` });
  }
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const detail = `${place}: ${messageOf(error)}`;
  // The library says so when the server asks for a password and there is none.
  return refusals.test(code) || detail.includes('SASL')
    ? new FlotillaError('database-refused', { detail, cause: error })
    : new FlotillaError('database-unreachable', { detail, cause: error });
}
