/**
 * Follows the feed of the enrollment service: connects, applies each line to the directory, saves the
 * changes, confirms them, and reconnects after a delay when the connection breaks.
 *
 * @module
 */
import type { IncomingMessage } from 'node:http';
import type { Logger } from '../../core/log.ts';
import type { Cancel, Clock } from '../../core/clock.ts';
import {
  continuationFeature,
  createdFeature,
  featuresHeader,
  generationFeature,
  policyFeature,
  queryFeature,
  restoreFeature,
} from '../../core/protocol/broker-query.ts';
import {
  feedHeartbeatMs,
  feedLineSchema,
  type FeedLine,
  type QueryLine,
} from '../../core/protocol/feed.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { openHttps, problemOf } from '../../core/protocol/https-client.ts';
import type { Directory, DirectoryChange } from './broker-directory.ts';
import type { DirectoryFile, StoredChange } from './directory-file.ts';
import type { FeedReporter } from './feed-reporter.ts';
import { LineSplitter } from './line-splitter.ts';

/** What this broker understands beside the directory. */
const features = [
  ...[queryFeature, policyFeature, createdFeature, generationFeature, restoreFeature],
  continuationFeature,
];

const lineMaxBytes = 2 * 1024 * 1024;
const problemMaxBytes = 64 * 1024;
/** A connection that receives nothing for three heartbeats is dead. */
export const feedTimeoutMs = 3 * feedHeartbeatMs;
const retryMinMs = 250;
/** After a restart of the enrollment service, devices look disconnected there until the feed is back. */
const retryMaxMs = 5_000;

/** The broker's own certificate and the CA certificates it trusts, PEM. */
export interface FeedCredentials {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

export interface FeedClientDeps {
  readonly url: string;
  /** Called for each connection, so that a renewed certificate is used. */
  credentials(): FeedCredentials;
  readonly directory: Directory;
  readonly file: DirectoryFile;
  readonly reporter: Pick<FeedReporter, 'applied' | 'connectedAgain'>;
  readonly clock: Clock;
  readonly log: Logger;
  random(): number;
  /** Applies a change to the broker. @returns how many connections it closed */
  changed(change: DirectoryChange): number | Promise<number>;
  /** Whether it only follows the directory: then the service does not ask it anything. */
  readonly isStandby?: boolean;
  /** Handles a question of the service, or the end of one. */
  asked(line: QueryLine): void;
  /** Handles the fleet's policy; null: the fleet has none. */
  fleetPolicy(text: string | null): void;
}

/** A change that the service waits for. */
interface Unsaved {
  readonly epoch: string;
  readonly sequence: number;
  /** How many connections it closed, when it is in force. */
  readonly closed: number | Promise<number>;
}

/** How long after a failed write of the directory it is tried again, in ms. */
const saveRetryMs = 1000;
const unconfirmedMax = 10_000;

export class FeedClient {
  readonly #deps: FeedClientDeps;
  #response: IncomingMessage | undefined;
  #failures = 0;
  #cancelDelay: (() => void) | undefined;
  #stopped = false;
  #connected = false;
  #running: Promise<void> = Promise.resolve();
  /** Changes that are in force but not on the disk yet. */
  #unsaved: Unsaved[] = [];
  /** Changes whose write to the disk failed. They are not confirmed before another write succeeds. */
  #unconfirmed: Unsaved[] = [];
  #cancelRetry: Cancel = () => undefined;
  #isUnsaved = false;
  /** Writes to the disk, one after the other. */
  #saving: Promise<void> = Promise.resolve();

  constructor(deps: FeedClientDeps) {
    this.#deps = deps;
  }

  /** Whether the broker is connected and the directory is up to date. */
  get connected(): boolean {
    return this.#connected;
  }

  /** Whether every change that is in force would also be in force after a crash. */
  get saved(): boolean {
    return !this.#isUnsaved;
  }

  /** Connects, and reconnects until {@link stop}. */
  start(): void {
    this.#running = this.#run();
  }

  /** Closes the connection and opens a new one, for example with a new certificate. */
  reconnect(): void {
    this.#failures = 0;
    this.#response?.destroy();
    this.#cancelDelay?.();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#response?.destroy();
    this.#cancelDelay?.();
    this.#cancelRetry();
    await this.#running;
    await this.#saving;
    await this.#deps.file.close();
  }

  async #run(): Promise<void> {
    while (!this.#isStopped()) {
      try {
        await this.#follow();
      } catch (err) {
        const fields = { err, failures: this.#failures };
        if (!this.#isStopped()) this.#deps.log.warn(fields, 'feed disconnected');
      }
      this.#connected = false;
      this.#deps.directory.connectionLost();
      if (!this.#isStopped()) await this.#delay();
    }
  }

  #isStopped(): boolean {
    return this.#stopped;
  }

  /** Exponential backoff with jitter, so that brokers do not reconnect at the same time. */
  #delay(): Promise<void> {
    const fullMs = Math.min(retryMaxMs, retryMinMs * 2 ** Math.min(this.#failures++, 10));
    return new Promise((resolve) => {
      const cancel = this.#deps.clock.after(fullMs * (0.5 + this.#deps.random() / 2), resolve);
      this.#cancelDelay = () => {
        cancel();
        resolve();
      };
    });
  }

  async #follow(): Promise<void> {
    const { directory, url } = this.#deps;
    const target = new URL('/v1/feed', url);
    const { known } = directory;
    if (known !== undefined) {
      target.searchParams.set('registry', known.registry);
      target.searchParams.set('run', known.run);
      target.searchParams.set('commit', String(known.commit));
      target.searchParams.set('started', String(known.startedAtMs));
    }
    // Otherwise a complete snapshot is necessary, to compare it with what this broker knows more.
    if (directory.ready && directory.earlier === undefined) {
      target.searchParams.set('epoch', directory.epoch);
      target.searchParams.set('since', String(directory.sequence));
    }
    const { isStandby = false } = this.#deps;
    const understood = isStandby ? features.filter((one) => one !== queryFeature) : features;
    const response = await openHttps({
      method: 'GET',
      url: target.href,
      ...this.#deps.credentials(),
      headers: { [featuresHeader]: understood.join(', ') },
      timeoutMs: feedTimeoutMs,
    });
    this.#response = response;
    if (this.#isStopped()) {
      response.destroy();
      return;
    }
    if (response.statusCode !== 200) throw await readProblem(response);
    const splitter = new LineSplitter(lineMaxBytes);
    for await (const chunk of response as AsyncIterable<Buffer>) {
      await this.#apply(splitter.push(chunk));
    }
    throw new FlotillaError('service-unreachable', { detail: 'the feed ended' });
  }

  /** Applies the lines of one chunk, then saves and confirms the changes. */
  async #apply(lines: readonly string[]): Promise<void> {
    const changes: StoredChange[] = [];
    let saveAll = false;
    for (const text of lines) {
      if (text === '') continue;
      const line = feedLineSchema.parse(JSON.parse(text));
      if (line.type === 'query' || line.type === 'query-end') {
        this.#deps.asked(line);
        continue;
      }
      if (line.type === 'policy') {
        this.#deps.fleetPolicy(line.text);
        continue;
      }
      if (line.type === 'snapshot-end') await this.#deps.directory.compareSnapshot();
      this.#applyLine(line);
      if (line.type === 'authorities' || line.type === 'snapshot-end') saveAll = true;
      if (line.type === 'change') changes.push(this.#changeOf(line, line.entry.id));
      else if (line.type === 'removed') changes.push(this.#changeOf(line, line.id));
    }
    if (saveAll || this.#unsaved.length > 0) this.#save(saveAll ? 'all' : changes);
  }

  /** As it is in force: stricter than the line when a restored service has forgotten something. */
  #changeOf(
    { sequence, commit }: { sequence: number; commit?: number | undefined },
    id: string,
  ): StoredChange {
    const { directory } = this.#deps;
    const entry = directory.get(id);
    const { epoch } = directory;
    return entry === undefined
      ? { epoch, sequence, commit, removed: id }
      : { epoch, sequence, commit, entry };
  }

  #applyLine(line: FeedLine): void {
    const { directory } = this.#deps;
    const before = directory.sequence;
    const change = directory.apply(line);
    const isCurrent =
      line.type === 'hello' &&
      line.epoch === directory.epoch &&
      line.sequence === directory.sequence;
    if (isCurrent || line.type === 'snapshot-end' || line.type === 'heartbeat') {
      this.#setConnected();
    }
    if (change === undefined) return;
    const closed = this.#deps.changed(change);
    if (change.kind === 'identities') {
      this.#unsaved.push({ epoch: directory.epoch, sequence: change.sequence, closed });
    } else if (directory.sequence !== before) {
      // The service waits for new authorities as for any other change. Authorities that are only
      // repeated after hello do not change the sequence number.
      this.#unsaved.push({ epoch: directory.epoch, sequence: directory.sequence, closed });
    }
  }

  #setConnected(): void {
    this.#failures = 0;
    if (this.#connected) return;
    this.#connected = true;
    const { epoch, sequence, size } = this.#deps.directory;
    this.#deps.log.info({ epoch, sequence, entries: size }, 'feed connected');
    // Confirmed when the directory is on the disk, as any change.
    this.#unsaved.push({ epoch, sequence, closed: 0 });
    this.#deps.reporter.connectedAgain();
  }

  /**
   * Saves changes, then confirms them: a confirmed change must survive a crash. When the write fails, the
   * changes are in force all the same, because a full disk must not stop a revocation. The service learns
   * of them when a later write has succeeded.
   */
  #save(what: readonly StoredChange[] | 'all'): void {
    const saved = this.#unsaved;
    this.#unsaved = [];
    this.#saving = this.#saving.then(() => this.#saveNow(what, saved));
  }

  async #saveNow(what: readonly StoredChange[] | 'all', saved: readonly Unsaved[]): Promise<void> {
    const { directory, file, log, reporter, clock } = this.#deps;
    if (!directory.ready) return;
    const { epoch } = directory;
    const waiting = [...this.#unconfirmed, ...saved];
    this.#unconfirmed = [];
    try {
      if (what === 'all' || this.#isUnsaved) await file.writeSnapshot(directory.state());
      else if (what.length > 0) await file.append(what, directory);
    } catch (err) {
      if (!this.#isUnsaved) log.error({ err }, 'could not save the directory, trying again');
      this.#isUnsaved = true;
      this.#unconfirmed = waiting.slice(-unconfirmedMax);
      this.#cancelRetry();
      if (!this.#stopped) {
        this.#cancelRetry = clock.after(saveRetryMs, () => {
          this.#saving = this.#saving.then(() => this.#saveNow('all', []));
        });
      }
      return;
    }
    if (this.#isUnsaved) log.warn({ sequence: directory.sequence }, 'the directory is saved again');
    this.#isUnsaved = false;
    for (const one of waiting) {
      const closed = await one.closed;
      if (one.epoch === epoch) reporter.applied(one.epoch, one.sequence, closed);
    }
  }
}

async function readProblem(response: IncomingMessage): Promise<FlotillaError> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > problemMaxBytes) break;
    chunks.push(chunk);
  }
  response.destroy();
  return problemOf({
    status: response.statusCode ?? 0,
    headers: response.headers,
    body: Buffer.concat(chunks),
  });
}
