/**
 * Recognizes an active instance that hangs although its connection lives: a process that was stopped, or a machine whose
 * network stack still answers. Its session is ended, which releases its lock. That is safe even if the instance works:
 * it finds the term of another one and writes nothing any more.
 *
 * An instance with a heartbeat sends a statement each second. `pg_stat_activity` has the time of the last one, so nothing
 * is written for it. Only the clock of this process measures how long nothing has changed, and the time between two looks
 * counts up to a second: after a stop of the server, the active instance has as much time as before.
 *
 * @module
 */
import type { Logger } from '../log.ts';
import type { DatabaseConnection } from './database-connection.ts';
import { lockSpace } from './lock-space.ts';
import { LookClock, SignOfLife } from './sign-of-life.ts';

interface Holder {
  readonly pid: number;
  /** The session and its last statement; null while the server works on one. */
  readonly sign: string | null;
}

/**
 * SQL: the sessions that hold locks of this project: `number` of the lock, `pid`, and `sign` as in {@link Holder}. A
 * backend that waits for its client is idle as well.
 */
export const lockHolders = `SELECT l.objid::bigint AS number, a.pid,
    CASE WHEN a.state = 'idle' OR a.wait_event_type = 'Client'
      THEN a.pid::text || a.backend_start::text || a.state_change::text END AS sign
  FROM pg_locks l JOIN pg_stat_activity a USING (pid)
  WHERE l.locktype = 'advisory' AND l.granted AND l.classid::bigint = ${lockSpace} AND l.objsubid = 2
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())`;

export class HungInstance {
  readonly #statement: string;
  readonly #frozenAfterMs: number | undefined;
  readonly #log: Logger;
  readonly #nowMs: () => number;
  readonly #sign = new SignOfLife();
  readonly #clock = new LookClock();

  /**
   * @param frozenAfterMs undefined: never
   * @param nowMs a clock that never goes back
   */
  constructor(
    lockNumber: number,
    frozenAfterMs: number | undefined,
    log: Logger,
    nowMs: () => number = () => performance.now(),
  ) {
    this.#statement = `SELECT pid, sign FROM (${lockHolders}) AS h WHERE number = ${lockNumber}`;
    this.#frozenAfterMs = frozenAfterMs;
    this.#log = log;
    this.#nowMs = nowMs;
  }

  /** Looks once. Errors are left to the next statement of the caller. */
  async look(connection: Pick<DatabaseConnection, 'isOpen' | 'query'>): Promise<void> {
    if (this.#frozenAfterMs === undefined || !connection.isOpen) return;
    try {
      const [holder] = await connection.query<Holder>(this.#statement);
      const passedMs = this.#clock.look(this.#nowMs());
      const unchangedMs = this.#sign.note(holder?.sign ?? undefined, passedMs);
      if (unchangedMs < this.#frozenAfterMs) return;
      this.#log.warn('the active instance gives no sign of life: its session is ended');
      await connection.query('SELECT pg_terminate_backend($1)', [holder?.pid]);
    } catch (error) {
      this.#log.debug({ err: error }, 'the standby could not look at the active instance');
    }
  }
}
