/**
 * Follows the feed of the enrollment service: connects, reads, applies, keeps, reports, and connects
 * again after a wait when the link breaks.
 *
 * @module
 */
import { Agent } from 'node:https';
import type { IncomingMessage } from 'node:http';
import type { Logger } from '../../core/log.ts';
import type { Clock } from '../../core/clock.ts';
import { feedHeartbeatMs, feedLineSchema, type FeedReport } from '../../core/protocol/feed.ts';
import { FlotillaError, messageOf } from '../../core/errors/flotilla-error.ts';
import { callHttps, openHttps, problemOf } from '../../core/protocol/https-client.ts';
import type { Directory, DirectoryChange } from './broker-directory.ts';
import type { DirectoryFile, KeptChange } from './directory-file.ts';
import { FeedReporter, isPermanent } from './feed-reporter.ts';
import { LineSplitter } from './line-splitter.ts';

const lineMaxBytes = 256 * 1024;
/** A link that says nothing for three heartbeats is dead. */
const silenceMs = 3 * feedHeartbeatMs;
const waitMinMs = 250;
const waitMaxMs = 15_000;

/** What the broker presents and trusts; asked anew for each connection, so that renewal counts. */
export interface FeedCredentials {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

export interface FeedClientDeps {
  readonly url: string;
  credentials(): FeedCredentials;
  readonly directory: Directory;
  readonly file: DirectoryFile;
  readonly clock: Clock;
  readonly log: Logger;
  random(): number;
  /** Names this run of the broker, unlike any other. */
  readonly run: string;
  /** How many refusals are told apart until they are told to the service. */
  readonly refusalsMax: number;
  /** Puts a change in force; gives the number of connections that it closed. */
  changed(change: DirectoryChange): number;
}

/** What is told to the service. */
export type FeedReports = Pick<FeedReporter, 'presence' | 'denied' | 'incident' | 'refused'>;

export class FeedClient {
  readonly #deps: FeedClientDeps;
  readonly #reporter: FeedReporter;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  #response: IncomingMessage | undefined;
  #failures = 0;
  #cancelWait: (() => void) | undefined;
  #stopped = false;
  #connected = false;
  #running: Promise<void> = Promise.resolve();
  /** Changes in force that are not on the disk yet. */
  #inForce: { sequence: number; closed: number }[] = [];
  /** Work on the disk, one after the other. */
  #keeping: Promise<void> = Promise.resolve();

  constructor(deps: FeedClientDeps) {
    this.#deps = deps;
    this.#reporter = new FeedReporter({
      clock: deps.clock,
      run: deps.run,
      refusalsMax: deps.refusalsMax,
      send: (report) => this.#send(report),
      failed: (error) => {
        const facts = { error: messageOf(error) };
        if (isPermanent(error)) deps.log.error(facts, 'report refused by the service, and dropped');
        else deps.log.debug(facts, 'report not delivered');
      },
    });
  }

  /** Whether the link stands and its first answer was applied. */
  get connected(): boolean {
    return this.#connected;
  }

  /** Begins, and goes on until {@link stop}. */
  start(): void {
    this.#running = this.#run();
  }

  /** What is told to the service on the way back. */
  get reporter(): FeedReports {
    return this.#reporter;
  }

  /** Closes the link and begins it again, for example with a new certificate. */
  reconnect(): void {
    this.#failures = 0;
    this.#response?.destroy();
    this.#cancelWait?.();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#response?.destroy();
    this.#cancelWait?.();
    await this.#running;
    await this.#keeping;
    await this.#reporter.stop();
    await this.#deps.file.close();
    this.#agent.destroy();
  }

  async #run(): Promise<void> {
    while (!this.#isStopped()) {
      try {
        await this.#follow();
      } catch (error) {
        const facts = { error: messageOf(error), failures: this.#failures };
        if (!this.#isStopped()) this.#deps.log.warn(facts, 'feed lost');
      }
      this.#connected = false;
      this.#deps.directory.linkLost();
      if (!this.#isStopped()) await this.#wait();
    }
  }

  #isStopped(): boolean {
    return this.#stopped;
  }

  /** Between half of and the whole of a wait that doubles, so that brokers do not come at once. */
  #wait(): Promise<void> {
    const fullMs = Math.min(waitMaxMs, waitMinMs * 2 ** Math.min(this.#failures++, 10));
    return new Promise((resolve) => {
      const cancel = this.#deps.clock.after(fullMs * (0.5 + this.#deps.random() / 2), resolve);
      this.#cancelWait = () => {
        cancel();
        resolve();
      };
    });
  }

  async #follow(): Promise<void> {
    const { directory, url } = this.#deps;
    const target = new URL('/v1/feed', url);
    if (directory.ready) {
      target.searchParams.set('epoch', directory.epoch);
      target.searchParams.set('since', String(directory.sequence));
    }
    const response = await openHttps({
      method: 'GET',
      url: target.href,
      ...this.#deps.credentials(),
      timeoutMs: silenceMs,
    });
    this.#response = response;
    if (this.#isStopped()) {
      response.destroy();
      return;
    }
    if (response.statusCode !== 200) throw await refusal(response);
    const lines = new LineSplitter(lineMaxBytes);
    for await (const chunk of response as AsyncIterable<Buffer>) {
      this.#take(lines.push(chunk));
    }
    throw new FlotillaError('service-unreachable', { detail: 'the feed ended' });
  }

  /** Applies the lines of one chunk, then has them kept and reported. */
  #take(lines: readonly string[]): void {
    const { directory } = this.#deps;
    const kept: KeptChange[] = [];
    let whole = false;
    for (const text of lines) {
      if (text === '') continue;
      const line = feedLineSchema.parse(JSON.parse(text));
      const before = directory.sequence;
      const change = directory.apply(line);
      const upToDate =
        line.type === 'hello' &&
        line.epoch === directory.epoch &&
        line.sequence === directory.sequence;
      if (upToDate || line.type === 'snapshot-end' || line.type === 'heartbeat') this.#linkStands();
      if (line.type === 'authorities' || line.type === 'snapshot-end') whole = true;
      const { epoch } = directory;
      if (line.type === 'change') kept.push({ epoch, sequence: line.sequence, entry: line.entry });
      if (line.type === 'removed') kept.push({ epoch, sequence: line.sequence, removed: line.id });
      if (change === undefined) continue;
      const closed = this.#deps.changed(change);
      if (change.kind === 'identities') this.#inForce.push({ sequence: change.sequence, closed });
      // New authorities are a change like any other, which the service waits for; those that are only
      // repeated after hello are not.
      else if (directory.sequence !== before) {
        this.#inForce.push({ sequence: directory.sequence, closed });
      }
    }
    if (whole || kept.length > 0) this.#keep(whole ? 'all' : kept);
  }

  #linkStands(): void {
    this.#failures = 0;
    if (this.#connected) return;
    this.#connected = true;
    const { epoch, sequence, size } = this.#deps.directory;
    this.#deps.log.info({ epoch, sequence, entries: size }, 'feed connected');
    this.#reporter.applied(epoch, sequence, 0);
  }

  /** On the disk first, reported then: what was reported must survive a crash. */
  #keep(what: readonly KeptChange[] | 'all'): void {
    const { directory, file } = this.#deps;
    const done = this.#inForce;
    this.#inForce = [];
    const { epoch } = directory;
    this.#keeping = this.#keeping.then(async () => {
      try {
        if (!directory.ready) return;
        if (what === 'all') await file.writeSnapshot(directory.state());
        else await file.append(what, directory);
      } catch (error) {
        // The change is in force all the same; a full disk must not stop a revocation.
        this.#deps.log.error({ error: messageOf(error) }, 'directory not kept on disk');
      }
      for (const { sequence, closed } of done) this.#reporter.applied(epoch, sequence, closed);
    });
  }

  async #send(report: FeedReport): Promise<void> {
    const answer = await callHttps({
      method: 'POST',
      url: new URL('/v1/feed/report', this.#deps.url).href,
      ...this.#deps.credentials(),
      agent: this.#agent,
      body: report,
      timeoutMs: silenceMs,
    });
    if (answer.status < 200 || answer.status > 299) throw problemOf(answer);
  }
}

async function refusal(response: IncomingMessage): Promise<FlotillaError> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > 64 * 1024) break;
    chunks.push(chunk);
  }
  response.destroy();
  return problemOf({
    status: response.statusCode ?? 0,
    headers: response.headers,
    body: Buffer.concat(chunks),
  });
}
