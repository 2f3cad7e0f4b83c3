/**
 * Writes what brokers tell of refusals into the audit log, one line for each entry, without letting a
 * flood fill the disk: in a minute each broker has a number of lines, shared out so that strangers take
 * half of them at most and no identity more than a tenth. What repeats a line of this minute, and what
 * got none, is summed, and told when the minute is over: one more line for each that repeated, and one
 * for each reason. So a broker causes at most two lines for each of its lines, and one for each code of
 * the catalogue, a minute.
 *
 * A line is on the disk before the broker is answered. Sums of a minute that is not over are in memory:
 * an ordered stop writes them, a crash loses them (the broker's own log has each).
 *
 * @module
 */
import type { Cancel, Clock } from '../../core/clock.ts';
import type { DeviceId } from '../../core/device-id.ts';
import type { Refusal, RefusalBatch } from '../../core/protocol/feed.ts';
import { FairShare } from '../../core/fair-share.ts';
import type { Logger } from '../../core/log.ts';
import type { AuditEvent } from './audit-event.ts';
import type { AuditLog } from './audit-log.ts';

const minuteMs = 60_000;
/** How many brokers have a page; the one that was quiet longest is written out first. */
const pagesMax = 1000;
/** Reasons that are summed apart on one page; far more than the catalogue has. */
const reasonsMax = 500;

export interface RefusalAuditWriterDeps {
  readonly audit: Pick<AuditLog, 'append'>;
  readonly clock: Clock;
  readonly log: Logger;
  /** Lines for entries told apart, of one broker. */
  readonly linesPerMinute: number;
}

/** One broker's minute. */
interface Page {
  readonly share: FairShare;
  /** What has a line in this minute, and what came of the same since. */
  readonly told: Map<string, Refusal | undefined>;
  /** What has none, by its reason. */
  readonly rest: Map<string, Refusal>;
  /** The newest batch that was taken. */
  last: Taken | undefined;
  over: Cancel | undefined;
}

/** A batch whose entries were shared out. */
interface Taken {
  readonly run: string;
  readonly number: number;
  /** What is left to be written when the batch comes again: a disk may have been full. */
  lines: readonly AuditEvent[];
  /** The writing that is under way. */
  writing: Promise<void> | undefined;
}

export class RefusalAuditWriter {
  readonly #deps: RefusalAuditWriterDeps;
  readonly #pages = new Map<DeviceId, Page>();

  constructor(deps: RefusalAuditWriterDeps) {
    this.#deps = deps;
  }

  /**
   * Takes a batch; one that was taken already is not counted again.
   *
   * @returns resolves when its lines are on the disk
   * @throws FlotillaError `file-write-failed`
   */
  take(broker: DeviceId, { run, number, entries }: RefusalBatch): Promise<void> {
    const page = this.#page(broker);
    const { last } = page;
    if (last !== undefined && last.run === run && number <= last.number) return this.#write(last);
    const lines: AuditEvent[] = [];
    for (const entry of entries) {
      const key = keyOf(entry);
      if (page.told.has(key)) {
        page.told.set(key, sum(page.told.get(key), entry));
      } else if (entry.rest !== true && page.share.take(nameOf(entry))) {
        page.told.set(key, undefined);
        lines.push(eventOf(broker, entry));
      } else if (page.rest.has(entry.code) || page.rest.size < reasonsMax) {
        page.rest.set(entry.code, sum(page.rest.get(entry.code), restOf(entry)));
      }
    }
    page.over ??= this.#deps.clock.after(minuteMs, () => {
      this.#turn(broker, page).catch((error: unknown) => {
        this.#deps.log.error(
          { device: broker, err: error },
          'could not write refusals to the audit log',
        );
      });
    });
    page.last = { run, number, lines, writing: undefined };
    return this.#write(page.last);
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

  /** Writes the sums. */
  async close(): Promise<void> {
    await Promise.all([...this.#pages].map(([broker, page]) => this.#turn(broker, page)));
  }

  /** Ends a minute. */
  async #turn(broker: DeviceId, page: Page): Promise<void> {
    page.over?.();
    page.over = undefined;
    page.share.reset();
    const sums = [...page.told.values(), ...page.rest.values()].filter((one) => one !== undefined);
    page.told.clear();
    page.rest.clear();
    if (sums.length === 0) return;
    await this.#deps.audit.append(...sums.map((one) => eventOf(broker, one)));
  }

  #page(broker: DeviceId): Page {
    const page = this.#pages.get(broker) ?? {
      share: new FairShare(this.#deps.linesPerMinute),
      told: new Map(),
      rest: new Map(),
      last: undefined,
      over: undefined,
    };
    this.#pages.delete(broker);
    this.#pages.set(broker, page);
    const [oldest] = this.#pages;
    if (this.#pages.size > pagesMax && oldest !== undefined) {
      this.#pages.delete(oldest[0]);
      this.#turn(...oldest).catch(() => undefined);
    }
    return page;
  }
}

/** What makes entries alike. */
function keyOf({ code, stage, id, serial, address, topic, detail, rest }: Refusal): string {
  if (rest === true) return code;
  // Each fault of a file is one of its own.
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

/** An entry without what tells it apart. */
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
