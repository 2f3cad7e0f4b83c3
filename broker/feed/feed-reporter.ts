/**
 * Reports to the enrollment service: which changes are in force, how many connections they closed,
 * which devices connected and disconnected, and what this broker refused. One report is sent at a time;
 * what happens in the meantime is part of the next one. The broker's own decisions do not depend on
 * reports.
 *
 * While both sides run, everything is reported at least once, and refusals exactly once, because their
 * batches are numbered. Unsent reports are lost when the process is killed; a clean shutdown sends them.
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';
import { visible } from '../../core/escape.ts';
import {
  reportMax,
  type Denied,
  type FeedReport,
  type Incident,
  type Presence,
} from '../../core/protocol/feed.ts';
import { isFlotillaError } from '../../core/errors/flotilla-error.ts';
import type { Logger } from '../../core/log.ts';
import { RefusalTally, type SeenRefusal } from './refusal-tally.ts';

/** Maximum presence changes that wait while the service is unavailable; one per identity. */
const presenceMax = 200_000;
const retryMs = 1000;
/** Denials and refusals are collected for this long before they are sent. */
const collectMs = 1000;
const deniedMax = 10_000;
const lastMax = 10;
const topicMaxChars = 256;

export interface FeedReporterDeps {
  readonly clock: Clock;
  readonly log: Logger;
  /** Unique name of this run of the broker. */
  readonly run: string;
  /** Maximum distinct refusals per report. */
  readonly refusalsMax: number;
  /** Sends one report. Rejects when it could not be delivered. */
  send(report: FeedReport): Promise<void>;
}

/** The events that are reported. */
export type FeedReports = Pick<FeedReporter, 'presence' | 'denied' | 'incident' | 'refused'>;

export class FeedReporter {
  readonly #deps: FeedReporterDeps;
  #epoch = '';
  #applied = -1;
  #reported = -1;
  #closed: { sequence: number; connections: number }[] = [];
  #presence = new Map<string, Presence>();
  #denied = new Map<string, Denied>();
  #incidents: Incident[] = [];
  readonly #refusals: RefusalTally;
  #cancelCollecting: (() => void) | undefined;
  #sending: Promise<void> | undefined;
  #cancelRetry: (() => void) | undefined;
  #stopped = false;

  constructor(deps: FeedReporterDeps) {
    this.#deps = deps;
    this.#refusals = new RefusalTally(deps.clock, deps.run, deps.refusalsMax);
  }

  /**
   * The feed was connected again: the service knows nothing of the new connection, and gets the last change again even if
   * there is no newer one.
   */
  connectedAgain(): void {
    this.#reported = -1;
  }

  /** All changes up to `sequence` of this epoch are in force. */
  applied(epoch: string, sequence: number, connectionsClosed: number): void {
    if (epoch !== this.#epoch) {
      this.#epoch = epoch;
      this.#reported = -1;
      this.#closed = [];
    }
    this.#applied = sequence;
    if (connectionsClosed > 0 && this.#closed.length < reportMax.closed) {
      this.#closed.push({ sequence, connections: connectionsClosed });
    }
    this.#startSending();
  }

  /** A device connected or disconnected. Only the latest change of each identity is kept. */
  presence(presence: Presence): void {
    this.#presence.delete(presence.id);
    if (this.#presence.size >= presenceMax) return;
    this.#presence.set(presence.id, presence);
    this.#startSending();
  }

  /** An action of an identity was denied. Counted, and reported within about a second. */
  denied(id: Denied['id'], last: Denied['last'][number]): void {
    const known = this.#denied.get(id);
    if (known === undefined && this.#denied.size >= deniedMax) return;
    const lines = [...(known?.last ?? []), { ...last, topic: visible(last.topic, topicMaxChars) }];
    this.#denied.set(id, { id, count: (known?.count ?? 0) + 1, last: lines.slice(-lastMax) });
    this.#collect();
  }

  /** A refusal, for the audit log. Counted, and reported within about a second. */
  refused(refusal: SeenRefusal): void {
    this.#refusals.add(refusal);
    this.#collect();
  }

  /** A clone, an overlap or a flapping device was detected. */
  incident(incident: Incident): void {
    if (this.#incidents.length >= reportMax.incidents) return;
    this.#incidents.push(incident);
    this.#startSending();
  }

  /** Sends the remaining reports, if the service can be reached, and stops. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelRetry?.();
    this.#cancelCollecting?.();
    this.#cancelCollecting = undefined;
    await this.#sending;
    try {
      for (let last = this.#next(); last !== undefined; last = this.#next()) {
        await this.#deliver(last);
      }
    } catch (error) {
      this.#logFailure(error);
    }
  }

  #collect(): void {
    if (this.#stopped) return;
    this.#cancelCollecting ??= this.#deps.clock.after(collectMs, () => {
      this.#cancelCollecting = undefined;
      this.#startSending();
    });
  }

  #startSending(): void {
    if (this.#stopped || this.#sending !== undefined || this.#cancelRetry !== undefined) return;
    this.#sending = this.#sendAll().finally(() => {
      this.#sending = undefined;
    });
  }

  async #sendAll(): Promise<void> {
    // In the next turn, so that the events of one burst are in one report.
    await new Promise((resolve) => setImmediate(resolve));
    for (let report = this.#next(); report !== undefined; report = this.#next()) {
      try {
        await this.#deliver(report);
      } catch (error) {
        this.#restore(
          isPermanent(error) ? { ...report, presence: [], denied: [], incidents: [] } : report,
        );
        this.#logFailure(error);
        if (this.#stopped) return;
        this.#cancelRetry = this.#deps.clock.after(retryMs, () => {
          this.#cancelRetry = undefined;
          this.#startSending();
        });
        return;
      }
      if (this.#stopped) return;
    }
  }

  async #deliver(report: FeedReport): Promise<void> {
    const { refusals } = report;
    try {
      await this.#deps.send(report);
    } catch (error) {
      if (refusals !== undefined && isPermanent(error)) this.#refusals.confirmed(refusals);
      throw error;
    }
    if (refusals !== undefined) this.#refusals.confirmed(refusals);
  }

  #next(): FeedReport | undefined {
    if (this.#epoch === '') return undefined;
    const collected = this.#cancelCollecting === undefined;
    const refusals = this.#refusals.next(collected);
    const nothing =
      this.#applied === this.#reported &&
      this.#closed.length === 0 &&
      this.#presence.size === 0 &&
      this.#incidents.length === 0 &&
      refusals === undefined &&
      (this.#denied.size === 0 || !collected);
    if (nothing) return undefined;
    const presence = takeFirst(this.#presence, reportMax.presence);
    const denied = takeFirst(this.#denied, reportMax.denied);
    const incidents = this.#incidents;
    this.#incidents = [];
    const closed = this.#closed;
    this.#closed = [];
    this.#reported = this.#applied;
    return {
      epoch: this.#epoch,
      applied: this.#applied,
      closed,
      presence,
      denied,
      incidents,
      ...(refusals === undefined ? {} : { refusals }),
    };
  }

  /** Adds the contents of a report that was not delivered to the next one. */
  #restore(report: FeedReport): void {
    this.#reported = -1;
    if (report.epoch === this.#epoch) {
      this.#closed = [...report.closed, ...this.#closed].slice(0, reportMax.closed);
    }
    this.#incidents = [...report.incidents, ...this.#incidents].slice(0, reportMax.incidents);
    for (const one of report.denied) {
      const newer = this.#denied.get(one.id);
      const count = one.count + (newer?.count ?? 0);
      const last = [...one.last, ...(newer?.last ?? [])].slice(-lastMax);
      this.#denied.set(one.id, { id: one.id, count, last });
    }
    for (const one of report.presence) {
      if (!this.#presence.has(one.id) && this.#presence.size < presenceMax) {
        this.#presence.set(one.id, one);
      }
    }
  }

  #logFailure(err: unknown): void {
    const { log } = this.#deps;
    if (isPermanent(err)) log.error({ err }, 'the enrollment service rejected a report; dropped');
    else log.debug({ err }, 'could not deliver a report');
  }
}

/**
 * Whether the service will never accept this report: it is older than this broker and does not know all
 * of its fields. Then the events in it are lost; that changes are in force is reported again, because
 * operators wait for it.
 */
function isPermanent(error: unknown): boolean {
  return isFlotillaError(error, 'request-invalid') || isFlotillaError(error, 'request-too-large');
}

/** Removes up to `max` values from a map and returns them. */
function takeFirst<T>(map: Map<string, T>, max: number): T[] {
  const taken: T[] = [];
  for (const [key, value] of map) {
    if (taken.length >= max) break;
    taken.push(value);
    map.delete(key);
  }
  return taken;
}
