/**
 * One simulated device: its identity, its connection that it wants to keep, and the account of what
 * it sent and received.
 *
 * @module
 */
import { topicMatches } from '../../core/topic.ts';
import type { Credential } from './credential.ts';
import { IntervalSet } from '../measure/interval-set.ts';
import type { Meter } from '../measure/meter.ts';
import type { GroupSpec } from '../plan/plan-schema.ts';
import { topicFor } from '../fleet/roster.ts';
import { seeded, type Random } from '../plan/seed.ts';
import { unwrap, wrap, type Envelope } from '../traffic/envelope.ts';
import { nowUs } from '../traffic/shared-clock.ts';
import type { Author } from '../fleet/roster.ts';
import type { DialOptions, Failure } from './dial.ts';
import { LightLink } from './light-link.ts';
import { LinkError, type Connected, type Link, type LinkOptions } from './link.ts';
import { MqttJsLink } from './mqttjs-link.ts';

/** Where a device stands; what progress and reports count. */
export type DeviceState = 'new' | 'enrolled' | 'connecting' | 'online' | 'offline' | 'failed';
export const deviceStates = [
  'new',
  'enrolled',
  'connecting',
  'online',
  'offline',
  'failed',
] as const;

/** What a device needs from the worker that carries it. */
export interface DeviceHost {
  readonly run: string;
  readonly seed: string;
  readonly meter: Meter;
  /** Where a device connects; as whom is its own matter. */
  brokerOf(number: number): {
    readonly host: string;
    readonly port: number;
    readonly ca: string;
  };
  localAddress(number: number): string | undefined;
  /** Calls once at a time of the process's own clock. */
  at(ms: number, call: () => void): void;
  readonly stopping: boolean;
}

/** How many messages wait in a device when its in-flight window is full. */
export const waitingMax = 10_000;

interface Waiting {
  readonly topic: string;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly body: string;
  readonly atUs: number;
}

export class SimDevice {
  readonly number: number;
  readonly author: Author;
  readonly group: GroupSpec;
  /** Sequence numbers that the broker took responsibility for (QoS 0: that left). */
  readonly settled = new IntervalSet();
  /** Sequence numbers of commands that arrived. */
  readonly commands = new IntervalSet();
  state: DeviceState = 'new';
  /** Whether it was ever connected. */
  everOnline = false;
  /** How often it lost its connection unasked. */
  drops = 0;
  /** Keeps TLS sessions even if its group does not resume them. */
  keepsSession = false;
  /** Topics that arrived and do not belong to it. */
  readonly leaks: string[] = [];
  #losing = false;
  /** A clean session ended while commands may have been on their way. */
  hadGap = false;
  /** Why the last attempt or connection ended. */
  lastFailure: Failure | undefined;
  /** Called when the connection ends, before a reconnect is thought of. */
  onClosed: ((failure: Failure) => void) | undefined;
  readonly #host: DeviceHost;
  /** Its chain is the leaf alone; {@link #issuers} follow. */
  #credential: Credential | undefined;
  #issuers = '';
  #link: Link | undefined;
  #waiting: Waiting[] | undefined;
  #seq = 0;
  #wanted = false;
  #attempts = 0;
  #session: Buffer | undefined;
  #connecting: Promise<Connected> | undefined;
  #backoff: Random | undefined;

  constructor(number: number, author: Author, group: GroupSpec, host: DeviceHost) {
    this.number = number;
    this.author = author;
    this.group = group;
    this.#host = host;
  }

  get id(): string {
    return this.author.device;
  }

  get online(): boolean {
    return this.#link?.online ?? false;
  }

  /** Messages that wait for an acknowledgement or for room. */
  get unsettled(): number {
    return (this.#link?.inflight ?? 0) + (this.#waiting?.length ?? 0);
  }

  /** The last TLS session that the broker gave. */
  get session(): Buffer | undefined {
    return this.#session;
  }

  /** What it holds now, its chain complete. */
  get credential(): Credential | undefined {
    return this.#credential === undefined
      ? undefined
      : { ...this.#credential, chain: this.#credential.chain + this.#issuers };
  }

  adopt(credential: Credential): void {
    const { leaf, issuers } = splitChain(credential.chain);
    this.#credential = { ...credential, chain: leaf };
    this.#issuers = issuers;
    if (this.state === 'new' || this.state === 'failed') this.state = 'enrolled';
  }

  /**
   * Connects, and from then on reconnects by itself until {@link leave}.
   *
   * @param intendedMs when it was meant to begin, on the process's own clock; latency counts from there
   */
  join(intendedMs: number): void {
    if (this.#wanted && this.state !== 'failed') return;
    this.#wanted = true;
    this.#attempts = 0;
    this.#try(intendedMs);
  }

  /** Disconnects, with a word (`clean`) or without, and stays away. */
  async leave(how: 'clean' | 'abrupt'): Promise<void> {
    this.#wanted = false;
    const link = this.#link;
    if (link === undefined) return;
    if (how === 'clean') await link.end();
    else link.destroy();
    if (this.state !== 'failed') this.state = 'offline';
  }

  /** Loses its connection as by a broken network, and comes back by itself. */
  lose(how: 'clean' | 'abrupt'): void {
    if (!this.online) return;
    this.#losing = true;
    if (how === 'clean') void this.#link?.end();
    else this.#link?.destroy();
  }

  pauseReading(paused: boolean): void {
    this.#link?.pauseReading(paused);
  }

  /** Subscribes, for probes. @returns the SUBACK code. @throws LinkError */
  subscribe(filter: string, qos: 0 | 1 | 2): Promise<number> {
    if (this.#link === undefined) return Promise.reject(offline(this.id));
    return this.#link.subscribe(filter, qos);
  }

  unsubscribe(filter: string): Promise<void> {
    return this.#link?.unsubscribe(filter) ?? Promise.resolve();
  }

  /** Publishes as it stands, outside the account, for probes. Resolves with the failure, if any. */
  publishRaw(topic: string, payload: string, qos: 0 | 1 | 2): Promise<string | undefined> {
    const link = this.#link;
    if (link === undefined) return Promise.resolve('offline');
    return new Promise((resolve) => link.publish(topic, payload, qos, false, resolve));
  }

  /** Sends one message of its schedule. `atUs`: when it was meant to leave. */
  send(topic: string, qos: 0 | 1 | 2, retain: boolean, body: string, atUs: number): void {
    const link = this.#link;
    if (link === undefined || (!link.online && !(this.group.session === 'kept' && qos > 0))) {
      this.#host.meter.count('missed');
      return;
    }
    const message = { topic, qos, retain, body, atUs };
    if (link.inflight < this.group.inflightMax) this.#publish(link, message);
    else if ((this.#waiting?.length ?? 0) < waitingMax) (this.#waiting ??= []).push(message);
    else this.#host.meter.count('missed');
  }

  /** How many messages it numbered so far. */
  get sent(): number {
    return this.#seq;
  }

  #publish(link: Link, { topic, qos, retain, body, atUs }: Waiting): void {
    const { run, meter } = this.#host;
    const seq = this.#seq++;
    meter.count('published');
    const payload = wrap({ run, id: this.id, seq, atUs }, body);
    link.publish(topic, payload, qos, retain, (failure) => {
      if (failure === undefined) {
        this.settled.add(seq);
        if (qos > 0) {
          meter.count('acknowledged');
          meter.time('publishAck', nowUs() - atUs);
        }
      } else {
        meter.count('publishFailed');
        meter.fail(`publish: ${failure}`);
      }
      this.#sendWaiting(link);
    });
  }

  #sendWaiting(link: Link): void {
    const waiting = this.#waiting;
    if (waiting === undefined || !link.online) return;
    while (waiting.length > 0 && link.inflight < this.group.inflightMax) {
      const next = waiting.shift();
      if (next !== undefined) this.#publish(link, next);
    }
    if (waiting.length === 0) this.#waiting = undefined;
  }

  #try(intendedMs: number): void {
    const { meter } = this.#host;
    const { credential } = this;
    if (credential === undefined || this.#connecting !== undefined) return;
    this.state = 'connecting';
    this.#attempts++;
    meter.count('connectStarted');
    const link = (this.#link ??= this.#makeLink());
    this.#connecting = link.connect(this.dialOptions(credential));
    this.#connecting
      .then((connected) => this.#connected(link, connected, intendedMs))
      .catch((error: unknown) => {
        const failure =
          error instanceof LinkError ? error : { reason: 'internal', detail: String(error) };
        this.#connecting = undefined;
        this.lastFailure = { reason: failure.reason, detail: failure.detail };
        meter.count('connectFailed');
        meter.fail(`connect: ${failure.reason}`);
        if (!this.keepsSession) this.#session = undefined;
        this.#comeBack();
      });
  }

  async #connected(link: Link, connected: Connected, intendedMs: number): Promise<void> {
    const { meter } = this.#host;
    const { timing, connackMs, sessionPresent } = connected;
    const { commands } = this.group;
    if (commands !== null && !sessionPresent) {
      const code = await link.subscribe(topicFor(commands.filter, this.author), commands.qos);
      if (code >= 0x80) meter.fail(`subscribe: 0x${code.toString(16)}`);
    }
    this.#connecting = undefined;
    this.#attempts = 0;
    this.everOnline = true;
    if (!link.online) return;
    this.state = 'online';
    meter.count('connected');
    if (timing.resumed) meter.count('resumed');
    if (timing.secureMs !== undefined && timing.tcpMs !== undefined) {
      meter.time(
        timing.resumed ? 'handshakeResumed' : 'handshake',
        (timing.secureMs - timing.tcpMs) * 1000,
      );
    }
    meter.time('connect', (connackMs - intendedMs) * 1000);
    if (!this.#wanted) link.destroy();
    else this.#sendWaiting(link);
  }

  #closed(failure: Failure): void {
    const { meter, stopping } = this.#host;
    this.lastFailure = failure;
    meter.count('disconnected');
    if (this.#wanted && !stopping && !this.#losing) {
      this.drops++;
      meter.fail(`disconnected: ${failure.reason}`);
    }
    this.#losing = false;
    if (this.group.session === 'clean') this.hadGap = true;
    this.state = 'offline';
    this.onClosed?.(failure);
    this.#comeBack();
  }

  #comeBack(): void {
    const { minDelay, maxDelay } = this.group.reconnect;
    if (!this.#wanted || this.#host.stopping) {
      this.state = 'offline';
      return;
    }
    this.state = this.everOnline || this.#attempts < 3 ? 'offline' : 'failed';
    this.#backoff ??= seeded(this.#host.seed, 'backoff', this.id);
    const delayMs = Math.min(
      maxDelay,
      minDelay * 2 ** Math.min(20, Math.max(0, this.#attempts - 1)),
    );
    const atMs = performance.now() + delayMs / 2 + (this.#backoff.next() * delayMs) / 2;
    this.#host.at(atMs, () => {
      if (this.#wanted && !this.online) this.#try(performance.now());
    });
  }

  /** How it dials, for itself and for drills that act in its name. */
  dialOptions(credential: Credential): DialOptions {
    const { version, resume } = this.group.tls;
    return {
      ...this.#host.brokerOf(this.number),
      identity: { key: credential.key, chain: credential.chain },
      version,
      localAddress: this.#host.localAddress(this.number),
      ...(resume || this.keepsSession
        ? {
            session: resume ? this.#session : undefined,
            onSession: (session: Buffer) => {
              this.#session = session;
            },
          }
        : {}),
    };
  }

  linkOptions(): LinkOptions {
    const { group } = this;
    return {
      clientId: this.id,
      mqtt: group.mqtt,
      kept: group.session === 'kept',
      sessionExpirySeconds: Math.round(group.sessionExpiry / 1000),
      keepAliveSeconds: Math.max(1, Math.round(group.keepAlive / 1000)),
      connectTimeoutMs: group.connectTimeout,
    };
  }

  #makeLink(): Link {
    const events = {
      message: (topic: string, payload: Buffer) => this.#command(topic, payload),
      closed: (failure: Failure) => this.#closed(failure),
    };
    return this.group.client === 'light'
      ? new LightLink(this.linkOptions(), events)
      : new MqttJsLink(this.linkOptions(), events);
  }

  #command(topic: string, payload: Buffer): void {
    const { meter, run } = this.#host;
    const envelope = unwrap(payload);
    if (!this.#isOwn(topic)) {
      meter.count('commandsMisdelivered');
      meter.fail('misdelivered: a topic that is not of this device');
      if (this.leaks.length < leaksMax) this.leaks.push(topic);
      return;
    }
    if (envelope === undefined || envelope.run !== run) {
      meter.count('foreign');
    } else if (envelope.id !== this.id) {
      meter.count('commandsMisdelivered');
      meter.fail('misdelivered: a command for another device');
      if (this.leaks.length < leaksMax) this.leaks.push(topic);
    } else if (this.commands.add(envelope.seq)) {
      meter.count('commandsDelivered');
      meter.time('command', nowUs() - envelope.atUs);
      if (payload.includes('"reply":1')) this.#reply(envelope);
    } else {
      meter.count('commandsDuplicated');
    }
  }

  #isOwn(topic: string): boolean {
    const { commands } = this.group;
    return (
      topic.startsWith(`devices/${this.id}/`) ||
      (commands !== null && topicMatches(topicFor(commands.filter, this.author), topic))
    );
  }

  /** Obeys: says the command's own number and time back. */
  #reply(envelope: Envelope): void {
    this.#link?.publish(`devices/${this.id}/replies`, wrap(envelope, ''), 1, false, (failure) => {
      if (failure !== undefined) this.#host.meter.fail(`reply: ${failure}`);
    });
  }
}

/**
 * The leaf as text of its own and the issuers as one text that all devices of a process share: ten
 * thousand copies of the same issuers are 6 MB.
 */
function splitChain(chain: string): { leaf: string; issuers: string } {
  const leafEnd = chain.indexOf(pemEnd) + pemEnd.length;
  const issuers = chain.slice(leafEnd);
  let known = knownIssuers.get(issuers);
  if (known === undefined) {
    if (knownIssuers.size >= knownIssuersMax) knownIssuers.clear();
    knownIssuers.set((known = ownText(issuers)), known);
  }
  return { leaf: ownText(chain.slice(0, leafEnd)), issuers: known };
}

const pemEnd = '-----END CERTIFICATE-----';
const knownIssuers = new Map<string, string>();
const knownIssuersMax = 16;

/** A copy: a slice would keep the whole text that it was cut from. */
function ownText(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1');
}

/** How many foreign topics a device remembers as evidence. */
const leaksMax = 20;

function offline(id: string): LinkError {
  return new LinkError({ reason: 'offline', detail: id });
}
