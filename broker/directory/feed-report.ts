/**
 * The way back of the feed: tells the enrollment service what is in force here, how many connections
 * it closed, and which devices came and went. One report is under way at a time; what happens
 * meanwhile goes into the next. Nothing here is needed for the broker's own decisions.
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';
import type { Denied, FeedReport, Incident, Presence } from '../../core/directory.ts';

/** The most comings and goings that are kept while the service is away; one is kept per identity. */
const waitingMax = 200_000;
const batchMax = 1000;
const retryMs = 1000;
/** Denials are gathered for this long. */
const denialsMs = 1000;
const deniedMax = 10_000;
const lastMax = 10;
const incidentsMax = 100;

export interface ReporterDeps {
  readonly clock: Clock;
  /** Sends one report. Rejects when it could not be delivered. */
  send(report: FeedReport): Promise<void>;
  failed(error: unknown): void;
}

export class FeedReporter {
  readonly #deps: ReporterDeps;
  #epoch = '';
  #applied = -1;
  #reported = -1;
  #closed: { sequence: number; connections: number }[] = [];
  #presence = new Map<string, Presence>();
  #denied = new Map<string, Denied>();
  #incidents: Incident[] = [];
  #denialsDue: (() => void) | undefined;
  #sending: Promise<void> | undefined;
  #retry: (() => void) | undefined;
  #stopped = false;

  constructor(deps: ReporterDeps) {
    this.#deps = deps;
  }

  /** All changes up to `sequence` of this epoch are in force. */
  applied(epoch: string, sequence: number, connectionsClosed: number): void {
    if (epoch !== this.#epoch) {
      this.#epoch = epoch;
      this.#reported = -1;
      this.#closed = [];
    }
    this.#applied = sequence;
    if (connectionsClosed > 0 && this.#closed.length < batchMax) {
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
    const lines = [...(known?.last ?? []), { ...last, topic: last.topic.slice(0, 256) }];
    this.#denied.set(id, { id, count: (known?.count ?? 0) + 1, last: lines.slice(-lastMax) });
    this.#denialsDue ??= this.#deps.clock.after(denialsMs, () => {
      this.#denialsDue = undefined;
      this.#wake();
    });
  }

  /** A clone or a flapping device was found. */
  incident(incident: Incident): void {
    if (this.#incidents.length >= incidentsMax) return;
    this.#incidents.push(incident);
    this.#wake();
  }

  /** Sends what waits, once, and then nothing more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#retry?.();
    this.#denialsDue?.();
    this.#denialsDue = undefined;
    await this.#sending;
    const last = this.#next();
    if (last !== undefined) await this.#deps.send(last).catch(() => undefined);
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
        await this.#deps.send(report);
      } catch (error) {
        this.#putBack(report);
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

  #next(): FeedReport | undefined {
    if (this.#epoch === '') return undefined;
    const nothing =
      this.#applied === this.#reported &&
      this.#closed.length === 0 &&
      this.#presence.size === 0 &&
      this.#incidents.length === 0 &&
      (this.#denied.size === 0 || this.#denialsDue !== undefined);
    if (nothing) return undefined;
    const presence = takeFirst(this.#presence);
    const denied = takeFirst(this.#denied);
    const incidents = this.#incidents;
    this.#incidents = [];
    const closed = this.#closed;
    this.#closed = [];
    this.#reported = this.#applied;
    return { epoch: this.#epoch, applied: this.#applied, closed, presence, denied, incidents };
  }

  #putBack(report: FeedReport): void {
    this.#reported = -1;
    if (report.epoch === this.#epoch) {
      this.#closed = [...report.closed, ...this.#closed].slice(0, batchMax);
    }
    this.#incidents = [...report.incidents, ...this.#incidents].slice(0, incidentsMax);
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

/** Takes a report's share out of a map. */
function takeFirst<T>(map: Map<string, T>): T[] {
  const taken: T[] = [];
  for (const [key, value] of map) {
    if (taken.length >= batchMax) break;
    taken.push(value);
    map.delete(key);
  }
  return taken;
}
