/**
 * The feed: sends the directory to the brokers (core/protocol/feed.ts defines the lines), and receives their
 * reports.
 *
 * Every commit that changes an identity becomes a numbered line. Lines are sent to all connected brokers, and
 * kept for brokers that connect again (change-log.ts). A line is sent only after its change is durable. A broker that reads
 * too slowly is disconnected when too many bytes wait for it; it connects again and gets the lines that it
 * missed.
 *
 * @module
 */
import { AgeMap } from '../../core/age-map.ts';
import type { Writable } from 'node:stream';
import type { Cancel, Clock } from '../../core/clock.ts';
import type { DeviceId } from '../../core/device-id.ts';
import {
  feedHeartbeatMs,
  type FeedLine,
  type FeedContinuation,
  type FeedReport,
  type QueryLine,
} from '../../core/protocol/feed.ts';
import {
  continuationFeature,
  generationFeature,
  policyFeature,
  queryFeature,
} from '../../core/protocol/broker-query.ts';
import type { Logger } from '../../core/log.ts';
import { AbsentBrokers } from './absent-brokers.ts';
import type { AheadBrokers } from './ahead-brokers.ts';
import { ChangeLog, type LineOrigin } from './change-log.ts';
import { entryOf, lineFor, mayRead, type FeedPeer } from './directory-entry.ts';
import { sendSnapshot } from './feed-snapshot.ts';
import type { Effect, FeedLink, FeedPosition, Serving, Subscriber } from './feed-subscriber.ts';
import type { CertificateAuthority } from '../ca/certificate-authority.ts';
import type { DeviceRecord } from '../registry/records.ts';
import type { Committed, Registry } from '../registry/registry.ts';

export interface FeedDeps {
  readonly registry: Registry;
  readonly ca: CertificateAuthority;
  readonly clock: Clock;
  readonly log: Logger;
  readonly graceMs: number;
  readonly changesKeptMax: number;
  readonly lagMaxBytes: number;
  /** Which brokers know more than the registry. */
  readonly ahead: AheadBrokers;
}

const closedKeptMax = 10_000;

export class Feed {
  readonly epoch: string;
  readonly absent = new AbsentBrokers();
  readonly #deps: FeedDeps;
  readonly #subscribers = new Set<Subscriber>();
  /** Every stream, also those that are not past the snapshot. */
  readonly #streams = new Set<Serving>();
  readonly #closed = new AgeMap<number, number>();
  readonly #waiting = new Set<() => void>();
  /** Undefined until the service has read it. */
  #policy: string | null | undefined;
  readonly #linkWatchers = new Set<() => void>();
  readonly #stops: (() => void)[];
  readonly #log: ChangeLog;
  #heartbeat: Cancel = () => undefined;

  constructor(deps: FeedDeps) {
    this.#deps = deps;
    this.epoch = deps.ahead.run;
    const { registry, changesKeptMax } = deps;
    // In the same turn as the first look at changes, so that none is missed.
    const recent = registry.recentDevices?.(changesKeptMax);
    this.#log = new ChangeLog(changesKeptMax, registry.number, recent);
    this.#stops = [
      deps.registry.watch((committed) => this.#take(committed)),
      deps.ca.onChange(() =>
        this.#add({ id: undefined, commit: undefined }, (sequence) => ({
          type: 'authorities',
          sequence,
          pem: [...deps.ca.pems],
        })),
      ),
    ];
    this.#beat();
  }

  /** The number of the newest change. */
  get sequence(): number {
    return this.#log.sequence;
  }

  /** The brokers that are connected. */
  get brokers(): readonly DeviceId[] {
    return [...new Set([...this.#subscribers].map(({ broker }) => broker))];
  }

  /** Each connection of a broker, and how far it is behind. */
  get links(): readonly FeedLink[] {
    return [...this.#subscribers].map(
      ({ broker, connectedAtMs, reportedAtMs, applied, stream }) => ({
        broker,
        connectedAtMs,
        reportedAtMs,
        changesBehind: Math.max(0, this.sequence - Math.max(0, applied)),
        lagBytes: stream.writableLength,
      }),
    );
  }

  /** Sends the fleet's policy to the brokers, now and when they connect. @param text null: there is none */
  setPolicy(text: string | null): void {
    this.#policy = text;
    const line = `${JSON.stringify({ type: 'policy', text } satisfies FeedLine)}\n`;
    for (const subscriber of this.#subscribers) {
      if (!subscriber.features.includes(policyFeature)) continue;
      this.#send(subscriber, line, subscriber.sent);
    }
  }

  /**
   * Sends a line that is not part of the directory, to the newest connection of a broker.
   *
   * @returns false when the broker is not connected or does not understand such lines
   */
  sendTo(broker: DeviceId, line: QueryLine): boolean {
    const [subscriber] = [...this.#subscribers]
      .filter((one) => one.broker === broker && one.features.includes(queryFeature))
      .slice(-1);
    if (subscriber === undefined) return false;
    this.#send(subscriber, `${JSON.stringify(line)}\n`, subscriber.sent);
    return !subscriber.stream.destroyed;
  }

  /** Calls when a broker connects or disconnects. A listener must not throw. */
  watchLinks(listener: () => void): () => void {
    this.#linkWatchers.add(listener);
    return () => this.#linkWatchers.delete(listener);
  }

  #linksChanged(): void {
    for (const watcher of this.#linkWatchers) watcher();
  }

  /** The newest change of each identity, if it is still kept. */
  sequencesOf(ids: readonly DeviceId[]): number[] {
    return this.#log.sequencesOf(ids);
  }

  /**
   * Serves one broker until its stream ends. The stream ends at once when the broker is no longer active or
   * its certificate is no longer accepted.
   *
   * @param from what the broker has
   */
  async serve(
    peer: FeedPeer,
    stream: Writable,
    from: FeedPosition | undefined,
    features: readonly string[] = [],
  ): Promise<void> {
    const generation = features.includes(generationFeature)
      ? this.#deps.ahead.admit(peer.broker, from?.known)
      : undefined;
    const continuation =
      generation?.behind === undefined ? this.#continuation(from, features) : undefined;
    const start = continuation?.start ?? this.sequence;
    const subscriber = this.#opened(peer, stream, features, start);
    const line = (value: FeedLine): boolean =>
      stream.write(lineFor(features, `${JSON.stringify(value)}\n`));
    line({
      type: 'hello',
      epoch: this.epoch,
      sequence: start,
      graceMs: this.#deps.graceMs,
      ...(generation === undefined ? {} : { generation }),
      ...(continuation?.continues === undefined ? {} : { continues: continuation.continues }),
    });
    line({ type: 'authorities', sequence: start, pem: [...this.#deps.ca.pems] });
    const takesPolicy = features.includes(policyFeature);
    const sentPolicy = this.#policy;
    if (takesPolicy && sentPolicy !== undefined) line({ type: 'policy', text: sentPolicy });
    const { registry } = this.#deps;
    if (continuation === undefined) await sendSnapshot(registry, stream, line, start);
    if (stream.destroyed) return;
    // No `await` from here on: no change can come in between.
    if (!this.#log.hasAllAfter(start)) {
      // Some changes during the snapshot are no longer kept: the broker must start again.
      stream.destroy();
      return;
    }
    for (const { text } of this.#log.after(start)) stream.write(lineFor(features, text));
    if (takesPolicy && this.#policy !== undefined && this.#policy !== sentPolicy) {
      line({ type: 'policy', text: this.#policy });
    }
    subscriber.sent = this.sequence;
    subscriber.live = true;
    this.#subscribers.add(subscriber);
    this.absent.delete(peer.broker);
    this.#linksChanged();
    this.#deps.log.info(
      { device: peer.broker, sequence: this.sequence, snapshot: continuation === undefined },
      'feed connected',
    );
  }

  /** The last change that the broker has, when all later ones are kept. `continues`: how an earlier run has named it. */
  #continuation(
    from: FeedPosition | undefined,
    features: readonly string[],
  ): { start: number; continues?: FeedContinuation } | undefined {
    const { epoch, since: sequence, known } = from ?? {};
    if (epoch === undefined || sequence === undefined) return undefined;
    if (epoch === this.epoch) {
      return this.#log.hasAllAfter(sequence) ? { start: sequence } : undefined;
    }
    // The commit that the broker names must be that of its directory.
    if (known?.run !== epoch || !features.includes(continuationFeature)) return undefined;
    if (!this.#deps.ahead.isContinued(known)) return undefined;
    const start = this.#log.beforeCommit(known.commit);
    return start === undefined ? undefined : { start, continues: { epoch, sequence } };
  }

  /** A new stream, which is forgotten when it closes. */
  #opened(
    peer: FeedPeer,
    stream: Writable,
    features: readonly string[],
    start: number,
  ): Subscriber {
    const subscriber: Subscriber = {
      ...peer,
      stream,
      sent: start,
      applied: -1,
      live: false,
      connectedAtMs: this.#deps.clock.now(),
      reportedAtMs: undefined,
      features,
    };
    stream.on('error', () => undefined);
    this.#streams.add(subscriber);
    stream.once('close', () => {
      this.#streams.delete(subscriber);
      if (this.#subscribers.delete(subscriber)) {
        if (!this.brokers.includes(peer.broker)) this.absent.add(peer.broker);
        this.#linksChanged();
      }
      this.#wake();
    });
    return subscriber;
  }

  /** Ends the connections of these brokers: they connect again, and get the state of the registry. */
  restart(brokers: readonly DeviceId[]): void {
    for (const serving of [...this.#streams]) {
      if (brokers.includes(serving.broker)) serving.stream.destroy();
    }
  }

  /** Processes a report of a broker. */
  report(broker: DeviceId, report: FeedReport): void {
    if (report.epoch !== this.epoch) return;
    for (const { sequence, connections } of report.closed) {
      this.#closed.set(sequence, (this.#closed.get(sequence) ?? 0) + connections);
      if (this.#closed.size > closedKeptMax) {
        const oldest = this.#closed.oldestKey();
        if (oldest !== undefined) this.#closed.delete(oldest);
      }
    }
    for (const subscriber of this.#subscribers) {
      if (subscriber.broker === broker) {
        subscriber.applied = Math.max(subscriber.applied, report.applied);
        subscriber.reportedAtMs = this.#deps.clock.now();
      }
    }
    this.#wake();
  }

  /**
   * Waits until every connected broker has reported a change as in force, or until the timeout.
   *
   * @param sequences the numbers of the changes
   */
  async effectOf(sequences: readonly number[], timeoutMs: number): Promise<Effect> {
    const newest = Math.max(0, ...sequences);
    const asked = [...this.#subscribers];
    const late = (): Subscriber[] =>
      asked.filter(
        (subscriber) => this.#subscribers.has(subscriber) && subscriber.applied < newest,
      );
    if (late().length > 0) {
      await new Promise<void>((resolve) => {
        const done = (): void => {
          this.#waiting.delete(look);
          cancel();
          resolve();
        };
        const look = (): void => {
          if (late().length === 0) done();
        };
        const cancel = this.#deps.clock.after(timeoutMs, done);
        this.#waiting.add(look);
      });
    }
    return {
      connectionsClosed: sequences.reduce((sum, one) => sum + (this.#closed.get(one) ?? 0), 0),
      brokers: asked.length,
      late: late().length,
      lateBrokers: [...new Set(late().map(({ broker }) => broker))],
      absentBrokers: this.absent.list,
    };
  }

  /** Ends every stream. */
  close(): void {
    this.#heartbeat();
    for (const stop of this.#stops) stop();
    for (const { stream } of this.#streams) stream.destroy();
    this.#subscribers.clear();
    this.#wake();
  }

  #take({ number: commit, puts, deletions }: Committed): void {
    for (const { table, record } of puts) {
      if (table !== 'devices') continue;
      this.#review(record.id, record);
      const entry = entryOf(record);
      if (entry === undefined) continue;
      this.#add({ id: entry.id, commit }, (sequence) => ({
        type: 'change',
        sequence,
        commit,
        entry,
      }));
    }
    for (const { table, key } of deletions) {
      if (table !== 'devices') continue;
      // A cast at the boundary to the registry: the key of a device is its id.
      const id = key as DeviceId;
      this.#review(id, undefined);
      this.#add({ id, commit }, (sequence) => ({ type: 'removed', sequence, commit, id }));
    }
  }

  /** Ends the streams of a broker that may no longer read the directory, before the change is sent. */
  #review(id: DeviceId, record: DeviceRecord | undefined): void {
    if (record?.status !== 'active') this.absent.delete(id);
    for (const serving of this.#streams) {
      if (serving.broker === id && !mayRead(serving, record)) this.#end(serving);
    }
  }

  #end(serving: Serving): void {
    this.#deps.log.warn(
      { device: serving.broker },
      'feed closed: the broker is no longer admitted',
    );
    this.#streams.delete(serving);
    for (const subscriber of this.#subscribers) {
      if (subscriber.stream === serving.stream) this.#subscribers.delete(subscriber);
    }
    serving.stream.destroy();
    this.#linksChanged();
    this.#wake();
  }

  #add(origin: LineOrigin, make: (sequence: number) => FeedLine): void {
    const { sequence, text } = this.#log.add(origin, make);
    for (const subscriber of this.#subscribers) this.#send(subscriber, text, sequence);
  }

  #send(subscriber: Subscriber, text: string, sequence: number): void {
    subscriber.stream.write(lineFor(subscriber.features, text));
    subscriber.sent = sequence;
    if (subscriber.stream.writableLength > this.#deps.lagMaxBytes) {
      this.#deps.log.warn({ device: subscriber.broker }, 'a broker reads too slowly, disconnected');
      subscriber.stream.destroy();
    }
  }

  #beat(): void {
    this.#heartbeat = this.#deps.clock.after(feedHeartbeatMs, () => {
      const text = `${JSON.stringify({ type: 'heartbeat', sequence: this.sequence } satisfies FeedLine)}\n`;
      const nowMs = this.#deps.clock.now();
      for (const serving of this.#streams) if (serving.notAfterMs <= nowMs) this.#end(serving);
      for (const subscriber of this.#subscribers) this.#send(subscriber, text, this.sequence);
      this.#beat();
    });
  }

  #wake(): void {
    for (const look of this.#waiting) look();
  }
}
