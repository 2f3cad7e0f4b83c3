/**
 * Writes the refusals that brokers report into the audit log, one line per entry, without letting a flood
 * fill the disk. Each broker may cause a limited number of lines per minute: at most half of them for
 * unidentified clients, and at most a tenth for one identity. Repeats of a line within the minute, and
 * entries beyond the limit, are summed and written at the end of the minute: one more line for each entry
 * that was repeated, and one for each error code of the rest. So within a minute a broker causes at most
 * twice its number of lines, plus one per code of the catalogue.
 *
 * A line is on the disk before the broker gets its response. The sums of the current minute are in memory: a
 * clean shutdown writes them, a crash loses them (the broker's own log has each refusal).
 *
 * @module
 */
import { AgeMap } from '../../core/age-map.ts';
import type { Cancel, Clock } from '../../core/clock.ts';
import type { DeviceId } from '../../core/device-id.ts';
import type { Refusal, RefusalBatch } from '../../core/protocol/feed.ts';
import { FairShare } from '../../core/fair-share.ts';
import type { Logger } from '../../core/log.ts';
import type { AuditEvent } from './audit-event.ts';
import type { AuditTrail } from './audit-trail.ts';

const minuteMs = 60_000;
/**
 * The number of brokers with a window. If there are more, the window of the one that was quiet longest is
 * written.
 */
const windowsMax = 1000;
/** Error codes that are summed separately in one window; far more than the catalogue has. */
const reasonsMax = 500;

export interface RefusalAuditWriterDeps {
  readonly audit: Pick<AuditTrail, 'append'>;
  readonly clock: Clock;
  readonly log: Logger;
  /** The maximum number of lines per minute for the entries of one broker. */
  readonly linesPerMinute: number;
}

/** The current minute of one broker. */
interface Window {
  readonly share: FairShare;
  /** Entries that have a line in this minute, and the sum of their repeats. */
  readonly written: Map<string, Refusal | undefined>;
  /** The sum of all entries without a line, by error code. */
  readonly rest: Map<string, Refusal>;
  /** The newest batch that was processed. */
  last: Taken | undefined;
  over: Cancel | undefined;
}

/** A batch whose entries have been assigned to lines and sums. */
interface Taken {
  readonly run: string;
  readonly number: number;
  /**
   * Lines that were not written yet, for example because the disk was full; written when the batch is
   * repeated.
   */
  lines: readonly AuditEvent[];
  /** The write in progress. */
  writing: Promise<void> | undefined;
}

export class RefusalAuditWriter {
  readonly #deps: RefusalAuditWriterDeps;
  readonly #windows = new AgeMap<DeviceId, Window>();

  constructor(deps: RefusalAuditWriterDeps) {
    this.#deps = deps;
  }

  /**
   * Processes a batch. A batch that was processed already is not counted again.
   *
   * @returns resolves when its lines are on the disk
   * @throws FlotillaError `file-write-failed`
   */
  take(broker: DeviceId, { run, number, entries }: RefusalBatch): Promise<void> {
    const window = this.#window(broker);
    const { last } = window;
    if (last !== undefined && last.run === run && number <= last.number) return this.#write(last);
    const lines: AuditEvent[] = [];
    for (const entry of entries) {
      const key = keyOf(entry);
      if (window.written.has(key)) {
        window.written.set(key, sum(window.written.get(key), entry));
      } else if (entry.rest !== true && window.share.take(nameOf(entry))) {
        window.written.set(key, undefined);
        lines.push(eventOf(broker, entry));
      } else if (window.rest.has(entry.code) || window.rest.size < reasonsMax) {
        window.rest.set(entry.code, sum(window.rest.get(entry.code), restOf(entry)));
      }
    }
    window.over ??= this.#deps.clock.after(minuteMs, () => {
      this.#turn(broker, window).catch((error: unknown) => {
        this.#deps.log.error(
          { device: broker, err: error },
          'could not write refusals to the audit log',
        );
      });
    });
    window.last = { run, number, lines, writing: undefined };
    return this.#write(window.last);
  }

  #write(taken: Taken): Promise<void> {
    if (taken.lines.length === 0) return Promise.resolve();
    taken.writing ??= this.#deps.audit
      .append(...taken.lines)
      .then(() => {
        taken.lines = [];
      })
      .finally(() => {
        taken.writing = undefined;
      });
    return taken.writing;
  }

  /** Writes the sums of all brokers. */
  async close(): Promise<void> {
    await Promise.all([...this.#windows].map(([broker, window]) => this.#turn(broker, window)));
  }

  /** Ends the minute of a broker: writes its sums. */
  async #turn(broker: DeviceId, window: Window): Promise<void> {
    window.over?.();
    window.over = undefined;
    window.share.reset();
    const sums = [...window.written.values(), ...window.rest.values()].filter(
      (one) => one !== undefined,
    );
    window.written.clear();
    window.rest.clear();
    if (sums.length === 0) return;
    await this.#deps.audit.append(...sums.map((one) => eventOf(broker, one)));
  }

  #window(broker: DeviceId): Window {
    const window = this.#windows.get(broker) ?? {
      share: new FairShare(this.#deps.linesPerMinute),
      written: new Map(),
      rest: new Map(),
      last: undefined,
      over: undefined,
    };
    this.#windows.renew(broker, window);
    const oldest = this.#windows.size > windowsMax ? this.#windows.oldestKey() : undefined;
    const ended = oldest === undefined ? undefined : this.#windows.get(oldest);
    if (oldest !== undefined && ended !== undefined) {
      this.#windows.delete(oldest);
      this.#turn(oldest, ended).catch(() => undefined);
    }
    return window;
  }
}

/** Entries with the same key are repeats of each other. */
function keyOf({ code, stage, id, serial, address, topic, detail, rest }: Refusal): string {
  if (rest === true) return code;
  // Each fault of a file is an entry of its own.
  const fault = stage === 'reload' ? detail : undefined;
  return JSON.stringify([code, stage, id, serial, address, topic, fault]);
}

function nameOf({ stage, id }: Refusal): string | undefined {
  return stage === 'reload' ? stage : id;
}

function sum(before: Refusal | undefined, more: Refusal): Refusal {
  if (before === undefined) return more;
  return {
    ...before,
    count: before.count + more.count,
    firstAtMs: Math.min(before.firstAtMs, more.firstAtMs),
    lastAtMs: Math.max(before.lastAtMs, more.lastAtMs),
  };
}

/** An entry reduced to what is summed for the rest. */
function restOf({ code, stage, count, firstAtMs, lastAtMs }: Refusal): Refusal {
  return { code, stage, rest: true, count, firstAtMs, lastAtMs };
}

function eventOf(broker: DeviceId, refusal: Refusal): AuditEvent {
  const { code, stage, id, serial, address, topic, detail, count, rest } = refusal;
  return {
    action: stage === 'reload' ? 'reload-refused' : 'access-refused',
    actor: broker,
    ...(id === undefined ? {} : { device: id }),
    ...(address === undefined ? {} : { remoteAddress: address }),
    detail: {
      code,
      stage,
      count,
      first: new Date(refusal.firstAtMs).toISOString(),
      last: new Date(refusal.lastAtMs).toISOString(),
      ...(serial === undefined ? {} : { serial }),
      ...(topic === undefined ? {} : { topic }),
      ...(detail === undefined ? {} : { detail }),
      ...(rest === undefined ? {} : { rest }),
    },
  };
}
