/**
 * One simulated device: its identity, its connection, which it restores when it is lost, and the
 * sequence numbers that it sent and received.
 *
 * @module
 */
import { topicMatches } from '../../core/topic.ts';
import { CompactCredential } from './compact-credential.ts';
import type { DeviceCredential } from './credential.ts';
import { IntervalSet } from '../measure/interval-set.ts';
import type { Meter } from '../measure/meter.ts';
import type { GroupSpec } from '../plan/fleet-schema.ts';
import { topicFor, type Author } from '../fleet/roster.ts';
import { seeded, type Random } from '../plan/seed.ts';
import { unwrap, wrap, type Envelope } from '../traffic/envelope.ts';
import type { SharedClock } from '../traffic/shared-clock.ts';
import type { DialOptions, Failure } from './dial.ts';
import { LightLink } from './light-link.ts';
import { LinkError, type Connected, type Link, type LinkOptions } from './link.ts';
import { MqttJsLink } from './mqttjs-link.ts';

/** The state of a device, as progress and reports count it. */
export type DeviceState = 'new' | 'enrolled' | 'connecting' | 'online' | 'offline' | 'failed';
export const deviceStates = [
  'new',
  'enrolled',
  'connecting',
  'online',
  'offline',
  'failed',
] as const;

/** Services of the worker that carries the device. */
export interface DeviceHost {
  readonly run: string;
  readonly seed: string;
  readonly meter: Meter;
  readonly clock: SharedClock;
  /** The broker that a device connects to. */
  brokerOf(number: number): {
    readonly host: string;
    readonly port: number;
    readonly ca: string;
  };
  localAddress(number: number): string | undefined;
  /** Calls back once at a time of `performance.now()`. */
  at(ms: number, call: () => void): void;
  readonly stopping: boolean;
}

/** Messages that a device holds back while its in-flight window is full. */
export const backlogMax = 10_000;

interface ScheduledMessage {
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
  /** Sequence numbers that the broker acknowledged (QoS 0: that were sent). */
  readonly settled = new IntervalSet();
  /** Sequence numbers of commands that were received. */
  readonly commands = new IntervalSet();
  state: DeviceState = 'new';
  /** Whether it was ever connected. */
  everOnline = false;
  /** How often it lost its connection unexpectedly. */
  drops = 0;
  /** Keeps TLS sessions even if its group does not resume them. */
  keepsSession = false;
  /** Topics of received messages that are not this device's. */
  readonly leaks: string[] = [];
  #dropExpected = false;
  /** A clean session ended, so commands in flight at that time may be lost. */
  hadGap = false;
  /** Why the last attempt or connection ended. */
  lastFailure: Failure | undefined;
  /** Called when the connection ends, before a reconnect is scheduled. */
  onClosed: ((failure: Failure) => void) | undefined;
  readonly #host: DeviceHost;
  #credential: CompactCredential | undefined;
  #link: Link | undefined;
  #backlog: ScheduledMessage[] | undefined;
  #seq = 0;
  #shouldBeOnline = false;
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

  /** Messages that wait for an acknowledgement or in the backlog. */
  get unsettled(): number {
    return (this.#link?.inflight ?? 0) + (this.#backlog?.length ?? 0);
  }

  /** The last TLS session that the broker sent a ticket for. */
  get session(): Buffer | undefined {
    return this.#session;
  }

  /** Its current credential with the complete chain. */
  get credential(): DeviceCredential | undefined {
    return this.#credential?.complete();
  }

  /** Uses this credential from the next connection on. */
  adopt(credential: DeviceCredential): void {
    this.#credential = new CompactCredential(credential);
    if (this.state === 'new' || this.state === 'failed') this.state = 'enrolled';
  }

  /**
   * Connects, and reconnects after each loss until {@link disconnect}.
   *
   * @param intendedMs scheduled time by `performance.now()`; latencies are measured from it
   */
  join(intendedMs: number): void {
    if (this.#shouldBeOnline && this.state !== 'failed') return;
    this.#shouldBeOnline = true;
    this.#attempts = 0;
    this.#connect(intendedMs);
  }

  /** Disconnects, with a DISCONNECT packet (`clean`) or without, and does not reconnect. */
  async disconnect(how: 'clean' | 'abrupt'): Promise<void> {
    this.#shouldBeOnline = false;
    const link = this.#link;
    if (link === undefined) return;
    if (how === 'clean') await link.end();
    else link.destroy();
    if (this.state !== 'failed') this.state = 'offline';
  }

  /** Ends the connection as a network failure would; the device reconnects. */
  dropConnection(how: 'clean' | 'abrupt'): void {
    if (!this.online) return;
    this.#dropExpected = true;
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

  /** Publishes a payload as it is, without counting it, for probes. Resolves with the failure, if any. */
  publishRaw(topic: string, payload: string, qos: 0 | 1 | 2): Promise<string | undefined> {
    const link = this.#link;
    if (link === undefined) return Promise.resolve('offline');
    return new Promise((resolve) => link.publish(topic, payload, qos, false, resolve));
  }

  /** Sends one scheduled message. @param atUs the scheduled time in µs since 1970 */
  send(topic: string, qos: 0 | 1 | 2, retain: boolean, body: string, atUs: number): void {
    const link = this.#link;
    if (link === undefined || (!link.online && !(this.group.session === 'kept' && qos > 0))) {
      this.#host.meter.count('missed');
      return;
    }
    const message = { topic, qos, retain, body, atUs };
    if (link.inflight < this.group.inflightMax) this.#publish(link, message);
    else if ((this.#backlog?.length ?? 0) < backlogMax) (this.#backlog ??= []).push(message);
    else this.#host.meter.count('missed');
  }

  /** The number of messages published so far; the next sequence number. */
  get sent(): number {
    return this.#seq;
  }

  #publish(link: Link, { topic, qos, retain, body, atUs }: ScheduledMessage): void {
    const { run, meter, clock } = this.#host;
    const seq = this.#seq++;
    meter.count('published');
    const payload = wrap({ run, id: this.id, seq, atUs }, body);
    link.publish(topic, payload, qos, retain, (failure) => {
      if (failure === undefined) {
        this.settled.add(seq);
        if (qos > 0) {
          meter.count('acknowledged');
          meter.time('publishAck', clock.nowUs() - atUs);
        }
      } else {
        meter.count('publishFailed');
        meter.fail(`publish: ${failure}`);
      }
      this.#sendBacklog(link);
    });
  }

  #sendBacklog(link: Link): void {
    const waiting = this.#backlog;
    if (waiting === undefined || !link.online) return;
    while (waiting.length > 0 && link.inflight < this.group.inflightMax) {
      const next = waiting.shift();
      if (next !== undefined) this.#publish(link, next);
    }
    if (waiting.length === 0) this.#backlog = undefined;
  }

  #connect(intendedMs: number): void {
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
        this.#scheduleReconnect();
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
    if (!this.#shouldBeOnline) link.destroy();
    else this.#sendBacklog(link);
  }

  #closed(failure: Failure): void {
    const { meter, stopping } = this.#host;
    this.lastFailure = failure;
    meter.count('disconnected');
    if (this.#shouldBeOnline && !stopping && !this.#dropExpected) {
      this.drops++;
      meter.fail(`disconnected: ${failure.reason}`);
    }
    this.#dropExpected = false;
    if (this.group.session === 'clean') this.hadGap = true;
    this.state = 'offline';
    this.onClosed?.(failure);
    this.#scheduleReconnect();
  }

  #scheduleReconnect(): void {
    const { minDelay, maxDelay } = this.group.reconnect;
    if (!this.#shouldBeOnline || this.#host.stopping) {
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
      if (this.#shouldBeOnline && !this.online) this.#connect(performance.now());
    });
  }

  /** Options of its TLS connections, also for drills that connect as this device. */
  dialOptions(credential: DeviceCredential): DialOptions {
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
    const { meter, run, clock } = this.#host;
    const envelope = unwrap(payload);
    if (!this.#isOwn(topic)) {
      meter.count('commandsMisdelivered');
      meter.fail('misdelivered: a topic of another device');
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
      meter.time('command', clock.nowUs() - envelope.atUs);
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

  /** Replies with the sequence number and the time of the command. */
  #reply(envelope: Envelope): void {
    this.#link?.publish(`devices/${this.id}/replies`, wrap(envelope, ''), 1, false, (failure) => {
      if (failure !== undefined) this.#host.meter.fail(`reply: ${failure}`);
    });
  }
}

/** Topics of other devices that a device keeps as evidence. */
const leaksMax = 20;

function offline(id: string): LinkError {
  return new LinkError({ reason: 'offline', detail: id });
}
