/**
 * A PostgreSQL primary and its synchronous standby, from the programs of Debian, on two ports of this machine. The primary
 * can be killed: the standby is promoted, and a new standby takes the place of the killed server.
 *
 * @module
 */
import { rm } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { freePort } from '../brokers.ts';
import { DebianPostgres, PostgresProcess } from './postgres-process.ts';

const answerTries = 1200;
const betweenTriesMs = 50;

/** Both servers have these settings, so that a promoted one waits for its standby as the former one did. */
const settings: readonly string[] = [
  'synchronous_standby_names=*',
  'synchronous_commit=on',
  'wal_level=replica',
  'hot_standby=on',
  'shared_buffers=64MB',
  'logging_collector=off',
];

/** Times of a failover, in ms since the kill. */
export interface DatabaseFailover {
  /** Until the promoted server could write, if it did not have to wait for its standby. */
  readonly promotedMs: number;
  /** Until the new standby was synchronous. Until then, no commit is confirmed. */
  readonly redundantMs: number;
}

export class PostgresPair {
  readonly #programs: DebianPostgres;
  #primary: PostgresProcess;
  #standby: PostgresProcess;

  private constructor(programs: DebianPostgres, ports: readonly [number, number]) {
    this.#programs = programs;
    this.#primary = new PostgresProcess(programs, ports[0], settings);
    this.#standby = new PostgresProcess(programs, ports[1], settings);
    process.once('exit', this.#end);
  }

  /** Makes both servers, and an empty database. @throws Error when PostgreSQL is not installed */
  static async make(): Promise<PostgresPair> {
    const programs = await DebianPostgres.find();
    const pair = new PostgresPair(programs, [await freePort(), await freePort()]);
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
    const [found] = await this.#primary.sql('flotilla', [text]);
    return Number(found?.['count'] ?? 0);
  }

  /** Kills the primary with its sessions, promotes the standby, and starts a new standby. */
  async failover(): Promise<DatabaseFailover> {
    const startMs = performance.now();
    const killed = this.#primary;
    await killed.kill();
    this.#primary = this.#standby;
    this.#standby = killed;
    await this.#primary.sql('flotilla', ['SELECT pg_promote(true, 60)']);
    const promotedMs = performance.now() - startMs;
    await this.#addStandby();
    return { promotedMs, redundantMs: performance.now() - startMs };
  }

  /** Ends both servers and deletes their files. */
  async close(): Promise<void> {
    process.off('exit', this.#end);
    // A server that is ending still writes files.
    await Promise.all([this.#primary, this.#standby].map((one) => one.quit()));
    this.#end();
  }

  readonly #end = (): void => {
    for (const one of [this.#primary, this.#standby]) one.signalEnd();
    this.#programs.remove();
  };

  async #create(): Promise<void> {
    await this.#programs.create(this.#primary.data);
    await this.#primary.start();
    // There is no standby yet for which it could wait.
    await this.#primary.sql('postgres', [
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
    await this.#programs.run('pg_basebackup', ['-D', data, ...from, ...how]);
    await this.#standby.start();
    const text = "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'";
    for (let tries = 0; tries < answerTries; tries++) {
      if ((await this.#primary.sql('flotilla', [text])).length > 0) return;
      await pause(betweenTriesMs);
    }
    throw new Error('the standby of the database did not become synchronous');
  }
}
