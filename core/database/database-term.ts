/**
 * The time during which this instance is the active one: it holds the advisory lock of the database, and the row of what
 * it writes (the registry, the sessions of a broker) has its term.
 *
 * The session that holds the lock is also the one that writes. When it ends, the server has ended what it was doing
 * before another session can have the lock. So after a lost connection:
 *
 * 1. A new session takes the lock. If another instance has begun a term meanwhile, this one is fenced: it writes nothing
 *    any more, and the process must end.
 * 2. `UPDATE … RETURNING writes` says whether the last write is there. Its own commit also waits for a synchronous
 *    standby, which proves that everything before it is replicated (a row can be visible before it is).
 * 3. A write that is not there has not happened and is sent again under the same number.
 *
 * @module
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { ErrorCode } from '../errors/catalogue.ts';
import { FlotillaError } from '../errors/flotilla-error.ts';
import type { Logger } from '../log.ts';
import { DatabaseConnection, isRolledBack, type DatabaseAccess } from './database-connection.ts';
import { HungInstance } from './hung-instance.ts';
import { lockSpace } from './lock-space.ts';

const retryMs = 250;
const standbyPollMs = 500;
/** A standby lets the active instance continue after the server was away. */
const standbyPatienceMs = 3000;
/** How long a write waits for a database that is away, before it is refused, in ms. */
const awayMaxMs = 10_000;
/**
 * After this time without the database the process should end: what is connected to it would not learn what another
 * instance decides meanwhile.
 */
const lostAfterMs = 60_000;

/** A statement whose first two parameters are the term and the number of the write. */
export interface FencedStatement {
  readonly text: string;
  readonly values: readonly unknown[];
  /** Set for a statement that is sent often: the server keeps its plan under this name. */
  readonly name?: string;
}

/** What a term writes: its lock, and the statements for the row that has the number of the term. */
export interface TermTables {
  /** What it is, for the log. */
  readonly content: string;
  /** The second key of the advisory lock, a number of its own for each kind of content. */
  readonly lockNumber: number;
  /** The error of a write that did not happen. */
  readonly unavailable: ErrorCode;
  /** Creates the tables if there are none. @throws FlotillaError `database-version`, `database-refused` */
  ensure(connection: DatabaseConnection): Promise<void>;
  isThere(connection: DatabaseConnection): Promise<boolean>;
  /** Begins a term. $1: the name of the instance. Returns `term` and `writes`. */
  readonly begin: string;
  /** Returns `writes` if the row has still the term $1 and at least $2 writes. It must be an update. */
  readonly resume: string;
  /** The `writes` with which the next term after $1 began. */
  readonly next: string;
  /** The name of the `instance` whose term is the newest. */
  readonly newest: string;
}

export interface TermDeps {
  readonly tables: TermTables;
  readonly access: DatabaseAccess;
  readonly log: Logger;
  /** Names this instance: its machine and state folder. */
  readonly instance: string;
  /** Called when the session is lost, and when it is there again. */
  readonly connectionChanged?: (isConnected: boolean) => void;
  /**
   * How often the session gives a sign of life, in ms. With it a standby recognizes an instance that hangs although its
   * connection lives. Undefined: never.
   */
  readonly heartbeatMs?: number;
}

/** How an instance waits for its term. */
export interface StandbyWait {
  readonly stop: Promise<unknown>;
  readonly waiting: (active: string) => void;
  /**
   * Ends the session of an active instance that has given no sign of life for this time, in ms. Only for instances with
   * a heartbeat. Undefined: never.
   */
  readonly frozenAfterMs?: number;
}

interface TermFacts {
  readonly term: string;
  readonly writes: string;
}

/** What a new session found. */
interface Resumed {
  readonly connection: DatabaseConnection | undefined;
  readonly writes: number;
}

export class DatabaseTerm {
  /** Resolves when another instance has begun a term, or the database has been away for a minute. */
  readonly lost: Promise<FlotillaError>;
  readonly #deps: TermDeps;
  readonly #name: string;
  readonly #term: number;
  #writes: number;
  #connection: DatabaseConnection | undefined;
  #resuming: Promise<Resumed> | undefined;
  #awaySinceMs: number | undefined;
  #giveUp: NodeJS.Timeout | undefined;
  #fenced: FlotillaError | undefined;
  #heartbeat: NodeJS.Timeout | undefined;
  #lose: (error: FlotillaError) => void = () => undefined;
  #last: Promise<unknown> = Promise.resolve();
  /** Statements that are under way or wait. */
  #statements = 0;
  /** The last sign of life. */
  #sign: Promise<unknown> = Promise.resolve();
  readonly #closing = new AbortController();

  private constructor(
    deps: TermDeps,
    name: string,
    connection: DatabaseConnection,
    facts: TermFacts,
  ) {
    this.#deps = deps;
    this.#name = name;
    this.#term = Number(facts.term);
    this.#writes = Number(facts.writes);
    this.lost = new Promise((resolve) => (this.#lose = resolve));
    this.#use(connection);
    if (deps.heartbeatMs !== undefined) {
      this.#heartbeat = setInterval(() => this.#giveSign(), deps.heartbeatMs);
    }
  }

  /**
   * Begins a term.
   *
   * @param standby waits as long as another instance is active; without it `database-in-use` is thrown
   * @returns undefined when `standby.stop` resolved first
   * @throws FlotillaError `database-…`
   */
  static async begin(deps: TermDeps, standby?: StandbyWait): Promise<DatabaseTerm | undefined> {
    const name = `flotilla-${randomUUID()}`;
    const stop = standby?.stop.then(() => undefined);
    const stopping = new AbortController();
    void stop?.then(() => stopping.abort());
    const rest = (ms: number): Promise<void> =>
      Promise.race([pause(ms), ...(stop === undefined ? [] : [stop])]);
    let connection = await DatabaseConnection.open(deps.access, name);
    const { tables } = deps;
    const hung = new HungInstance(tables.lockNumber, standby?.frozenAfterMs, deps.log);
    try {
      while (!(await takesLock(tables, connection))) {
        const active = await activeInstance(tables, connection);
        if (standby === undefined) throw new FlotillaError('database-in-use', { detail: active });
        standby.waiting(active);
        await hung.look(connection);
        await rest(standbyPollMs);
        while (!connection.isOpen && !stopping.signal.aborted) {
          deps.log.warn('the standby has lost its connection to the database, will retry');
          await rest(standbyPatienceMs);
          connection = await DatabaseConnection.open(deps.access, name).catch(() => connection);
        }
        if (stopping.signal.aborted) {
          await connection.close();
          return undefined;
        }
      }
      await tables.ensure(connection);
      const [facts] = await connection.query<TermFacts>(tables.begin, [deps.instance]);
      if (facts === undefined) throw new FlotillaError('database-version', { detail: 'no row' });
      return new DatabaseTerm(deps, name, connection, facts);
    } catch (error) {
      connection.destroy();
      if (error instanceof FlotillaError) throw error;
      throw new FlotillaError('database-unreachable', { cause: error });
    }
  }

  /** The number of the term. It grows by one with each. */
  get term(): number {
    return this.#term;
  }

  /** How many writes there are, over all terms. */
  get writes(): number {
    return this.#writes;
  }

  /** Why nothing can be written any more; undefined while this is the active instance. */
  get fenced(): FlotillaError | undefined {
    return this.#fenced;
  }

  /** Whether the session is there. */
  get isConnected(): boolean {
    return this.#connection?.isOpen === true && this.#fenced === undefined;
  }

  /** Whether writes are refused at once: the database has been away for too long, or another instance is active. */
  get isAway(): boolean {
    if (this.#fenced !== undefined || this.#closing.signal.aborted) return true;
    return this.#awaySinceMs !== undefined && performance.now() - this.#awaySinceMs > awayMaxMs;
  }

  /** Reads at the start. @throws FlotillaError `database-unreachable` */
  readonly read = async <Row extends object>(
    text: string,
    values: readonly unknown[] = [],
  ): Promise<readonly Row[]> => {
    this.#statements++;
    try {
      await this.#sign;
      const connection = this.#connection;
      if (connection === undefined) throw new Error('the connection was lost');
      return await connection.query<Row>(text, values);
    } catch (error) {
      throw new FlotillaError('database-unreachable', { cause: error });
    } finally {
      this.#statements--;
    }
  };

  /**
   * Writes, after all earlier writes. When the promise resolves, the write is durable.
   *
   * @throws FlotillaError `tables.unavailable`: it has certainly not happened
   */
  write(statement: FencedStatement): Promise<void> {
    this.#statements++;
    const written = this.#last
      .then(() => this.#sign)
      .then(() => this.#write(statement))
      .finally(() => this.#statements--);
    this.#last = written.catch(() => undefined);
    return written;
  }

  /** Releases the lock. */
  async close(): Promise<void> {
    this.#closing.abort();
    clearTimeout(this.#giveUp);
    clearInterval(this.#heartbeat);
    await this.#last;
    await this.#connection?.close();
  }

  async #write(statement: FencedStatement): Promise<void> {
    const number = this.#writes + 1;
    const deadlineMs = performance.now() + awayMaxMs;
    for (;;) {
      const connection = await this.#connected(deadlineMs);
      try {
        const [found] = await connection.query<{ passed: number }>(
          statement.text,
          [...[this.#term, number], ...statement.values],
          statement.name,
        );
        if (found?.passed !== 1) throw this.#fence(connection);
        this.#writes = number;
        return;
      } catch (error) {
        if (this.#fenced !== undefined || isRolledBack(error)) {
          throw this.#unavailable(error);
        }
        this.#deps.log.warn({ err: error }, 'a write to the database has an unknown outcome');
      }
      connection.destroy();
      // Without a deadline: until the outcome is known, the write can be reported neither as done nor as failed.
      const { connection: next, writes } = await this.#resume();
      if (writes >= number) {
        this.#writes = number;
        return;
      }
      if (next === undefined) {
        throw this.#unavailable(this.#fenced);
      }
    }
  }

  #unavailable(cause: unknown): FlotillaError {
    return new FlotillaError(this.#deps.tables.unavailable, { cause });
  }

  /**
   * A statement that changes nothing. A lost session is noticed by it as well. The library allows one statement at a
   * time, and any other is a sign of life, too.
   */
  #giveSign(): void {
    const connection = this.#connection;
    if (this.#statements > 0 || connection?.isOpen !== true) return;
    this.#statements++;
    this.#sign = connection
      .query('SELECT 1')
      .catch(() => undefined)
      .finally(() => this.#statements--);
  }

  /** @throws FlotillaError `tables.unavailable` */
  async #connected(deadlineMs: number): Promise<DatabaseConnection> {
    if (this.#fenced === undefined && this.#connection?.isOpen === true) return this.#connection;
    const left = new AbortController();
    const late = pause(Math.max(0, deadlineMs - performance.now()), undefined, {
      signal: left.signal,
    }).catch(() => undefined);
    const found = await Promise.race([this.#resume(), late]).finally(() => left.abort());
    if (found?.connection !== undefined) return found.connection;
    throw this.#unavailable(this.#fenced ?? new FlotillaError('database-unreachable'));
  }

  #use(connection: DatabaseConnection): void {
    this.#connection = connection;
    clearTimeout(this.#giveUp);
    this.#awaySinceMs = undefined;
    connection.onEnd(() => {
      if (this.#connection !== connection || this.#closing.signal.aborted) return;
      this.#awaySinceMs = performance.now();
      this.#giveUp = setTimeout(() => {
        this.#lose(new FlotillaError('database-unreachable', { detail: 'for a minute' }));
      }, lostAfterMs);
      this.#deps.log.warn('the connection to the database was lost');
      this.#deps.connectionChanged?.(false);
      // At once, so that the lock is taken again before a standby looks.
      void this.#resume().catch(() => undefined);
    });
  }

  /** One attempt after the other, for all that wait. @throws FlotillaError `tables.unavailable` when this closes */
  #resume(): Promise<Resumed> {
    this.#resuming ??= this.#resumeOnce().finally(() => (this.#resuming = undefined));
    return this.#resuming;
  }

  async #resumeOnce(): Promise<Resumed> {
    if (this.#fenced !== undefined) return { connection: undefined, writes: this.#writes };
    for (;;) {
      let connection: DatabaseConnection | undefined;
      try {
        if (this.#closing.signal.aborted) throw this.#unavailable(undefined);
        connection = await DatabaseConnection.open(this.#deps.access, this.#name);
        const found = await this.#takeAgain(connection);
        if (found !== undefined) return found;
      } catch (error) {
        if (this.#closing.signal.aborted) throw error;
        this.#deps.log.debug({ err: error }, 'the database is away');
      }
      connection?.destroy();
      await pause(retryMs);
    }
  }

  /** @returns undefined: the lock is not free yet */
  async #takeAgain(connection: DatabaseConnection): Promise<Resumed | undefined> {
    await connection.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE application_name = $1 AND usename = current_user AND pid <> pg_backend_pid()`,
      [this.#name],
    );
    const { tables } = this.#deps;
    const holds = await takesLock(tables, connection);
    const [own] = holds
      ? await connection.query<{ writes: string }>(tables.resume, [this.#term, this.#writes])
      : [];
    if (own !== undefined) {
      this.#use(connection);
      this.#deps.log.info('connected to the database again');
      this.#deps.connectionChanged?.(true);
      return { connection, writes: Number(own.writes) };
    }
    const [next] = await connection.query<{ writes: string }>(tables.next, [this.#term]);
    if (next === undefined && !holds) return undefined;
    // The next term began with everything that this one has written, or the database was replaced by an older one.
    this.#fence(connection);
    return { connection: undefined, writes: Number(next?.writes ?? this.#writes) };
  }

  #fence(connection: DatabaseConnection): FlotillaError {
    this.#fenced ??= new FlotillaError('database-fenced', { detail: `term ${this.#term}` });
    const { content } = this.#deps.tables;
    this.#deps.log.fatal({ err: this.#fenced }, `another instance writes ${content}`);
    clearInterval(this.#heartbeat);
    this.#lose(this.#fenced);
    connection.destroy();
    return this.#fenced;
  }
}

async function takesLock(
  { lockNumber }: TermTables,
  connection: DatabaseConnection,
): Promise<boolean> {
  const found = await connection
    .query<{ taken: boolean }>(`SELECT pg_try_advisory_lock(${lockSpace}, ${lockNumber}) AS taken`)
    .catch((error: unknown) => {
      if (connection.isOpen) throw error;
      return [];
    });
  return found[0]?.taken === true;
}

/** Who holds the lock, for people. */
async function activeInstance(tables: TermTables, connection: DatabaseConnection): Promise<string> {
  try {
    if (!(await tables.isThere(connection))) return 'it is creating the tables';
    const [found] = await connection.query<{ instance: string }>(tables.newest);
    return found?.instance ?? 'it begins';
  } catch {
    return 'not known';
  }
}
