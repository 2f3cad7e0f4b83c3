/**
 * The way back of the feed: tells the enrollment service what is in force here, how many connections
 * it closed, which devices came and went, and whom this broker refused. One report is under way at a
 * time; what happens meanwhile goes into the next. Nothing here is needed for the broker's own
 * decisions.
 *
 * Everything is told at least once while both sides live, refusals exactly once (their batches are
 * numbered). What waits here when the process is killed is lost; an ordered stop tells it first.
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
import { RefusalTally, type SeenRefusal } from './refusal-tally.ts';

/** The most comings and goings that are kept while the service is away; one is kept per identity. */
const waitingMax = 200_000;
const retryMs = 1000;
/** Denials and refusals are gathered for this long. */
const gatherMs = 1000;
const deniedMax = 10_000;
const lastMax = 10;
const topicMaxChars = 256;

export interface FeedReporterDeps {
  readonly clock: Clock;
  /** Names this run of the broker, unlike any other. */
  readonly run: string;
  /** How many refusals are told apart until they are told. */
  readonly refusalsMax: number;
  /** Sends one report. Rejects when it could not be delivered. */
  send(report: FeedReport): Promise<void>;
  failed(error: unknown): void;
}

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
  #gathering: (() => void) | undefined;
  #sending: Promise<void> | undefined;
  #retry: (() => void) | undefined;
  #stopped = false;

  constructor(deps: FeedReporterDeps) {
    this.#deps = deps;
    this.#refusals = new RefusalTally(deps.clock, deps.run, deps.refusalsMax);
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
    this.#wake();
  }

  /** A connection came or went. Only the latest of one identity is kept. */
  presence(presence: Presence): void {
    this.#presence.delete(presence.id);
    if (this.#presence.size >= waitingMax) return;
    this.#presence.set(presence.id, presence);
    this.#wake();
  }

  /** Something was denied to an identity. Counted, and told within a second or so. */
  denied(id: Denied['id'], last: Denied['last'][number]): void {
    const known = this.#denied.get(id);
    if (known === undefined && this.#denied.size >= deniedMax) return;
    const lines = [...(known?.last ?? []), { ...last, topic: visible(last.topic, topicMaxChars) }];
    this.#denied.set(id, { id, count: (known?.count ?? 0) + 1, last: lines.slice(-lastMax) });
    this.#gather();
  }

  /** Somebody was refused, or something: for the audit log. Counted, and told within a second or so. */
  refused(refusal: SeenRefusal): void {
    this.#refusals.add(refusal);
    this.#gather();
  }

  /** A clone, an overlap or a flapping device was found. */
  incident(incident: Incident): void {
    if (this.#incidents.length >= reportMax.incidents) return;
    this.#incidents.push(incident);
    this.#wake();
  }

  /** Sends what waits, as far as it can be delivered, and then nothing more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#retry?.();
    this.#gathering?.();
    this.#gathering = undefined;
    await this.#sending;
    try {
      for (let last = this.#next(); last !== undefined; last = this.#next()) {
        await this.#deliver(last);
      }
    } catch (error) {
      this.#deps.failed(error);
    }
  }

  #gather(): void {
    if (this.#stopped) return;
    this.#gathering ??= this.#deps.clock.after(gatherMs, () => {
      this.#gathering = undefined;
      this.#wake();
    });
  }

  #wake(): void {
    if (this.#stopped || this.#sending !== undefined || this.#retry !== undefined) return;
    this.#sending = this.#drain().finally(() => {
      this.#sending = undefined;
    });
  }

  async #drain(): Promise<void> {
    // One turn later, so that what a burst brings goes into one report.
    await new Promise((resolve) => setImmediate(resolve));
    for (let report = this.#next(); report !== undefined; report = this.#next()) {
      try {
        await this.#deliver(report);
      } catch (error) {
        if (isPermanent(error))
          this.#putBack({ ...report, presence: [], denied: [], incidents: [] });
        else this.#putBack(report);
        this.#deps.failed(error);
        if (this.#stopped) return;
        this.#retry = this.#deps.clock.after(retryMs, () => {
          this.#retry = undefined;
          this.#wake();
        });
        return;
      }
      if (this.#stopped) return;
    }
  }

  async #deliver(report: FeedReport): Promise<void> {
    try {
      await this.#deps.send(report);
    } catch (error) {
      if (report.refusals !== undefined && isPermanent(error))
        this.#refusals.taken(report.refusals);
      throw error;
    }
    if (report.refusals !== undefined) this.#refusals.taken(report.refusals);
  }

  #next(): FeedReport | undefined {
    if (this.#epoch === '') return undefined;
    const gathered = this.#gathering === undefined;
    const refusals = this.#refusals.next(gathered);
    const nothing =
      this.#applied === this.#reported &&
      this.#closed.length === 0 &&
      this.#presence.size === 0 &&
      this.#incidents.length === 0 &&
      refusals === undefined &&
      (this.#denied.size === 0 || !gathered);
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

  #putBack(report: FeedReport): void {
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
      if (!this.#presence.has(one.id) && this.#presence.size < waitingMax) {
        this.#presence.set(one.id, one);
      }
    }
  }
}

/**
 * Whether the service will never take this report: it is older than this broker, and does not know all
 * that is told. What was told is lost then, but not that changes are in force, which people wait for.
 */
export function isPermanent(error: unknown): boolean {
  return isFlotillaError(error, 'request-invalid') || isFlotillaError(error, 'request-too-large');
}

/** Takes a report's share out of a map. */
function takeFirst<T>(map: Map<string, T>, max: number): T[] {
  const taken: T[] = [];
  for (const [key, value] of map) {
    if (taken.length >= max) break;
    taken.push(value);
    map.delete(key);
  }
  return taken;
}
