/**
 * The simulator's own service client: it checks received messages against the sequence numbers of
 * the devices, and sends commands.
 *
 * @module
 */
import { brokerIndexOf, brokerOf } from '../fleet/broker-choice.ts';
import { LightLink } from '../device/light-link.ts';
import type { Connected, Link } from '../device/link.ts';
import { MqttJsLink } from '../device/mqttjs-link.ts';
import type { DialIdentity } from '../device/dial.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { IntervalSet } from '../measure/interval-set.ts';
import type { Meter } from '../measure/meter.ts';
import { topicFor, type Roster } from '../fleet/roster.ts';
import { unwrap, wrap } from '../traffic/envelope.ts';
import type { SharedClock } from '../traffic/shared-clock.ts';
import type { BrokerAddress, ObserverAccount } from './protocol.ts';

export interface ObserverOptions {
  readonly name: string;
  readonly identity: DialIdentity;
  readonly brokers: readonly BrokerAddress[];
  /** The index of its broker: only the devices of this broker are checked. */
  readonly broker: number;
  readonly filters: readonly string[];
  readonly client: 'mqttjs' | 'light';
  readonly run: string;
  readonly roster: Roster;
  readonly meter: Meter;
  readonly clock: SharedClock;
}

interface KnownDevice {
  readonly number: number;
  readonly topics: readonly string[];
  readonly received: IntervalSet;
}

const reconnectDelayMs = 250;

export class Observer {
  readonly #options: ObserverOptions;
  readonly #link: Link;
  readonly #known = new Map<string, KnownDevice>();
  readonly #commanded = new Map<number, IntervalSet>();
  readonly #commandSeqs = new Map<number, number>();
  #closing = false;

  constructor(options: ObserverOptions) {
    this.#options = options;
    const link = {
      clientId: options.name,
      mqtt: '3.1.1',
      // Messages that are acknowledged while the observer is offline must reach it afterwards.
      kept: true,
      sessionExpirySeconds: 300,
      keepAliveSeconds: 30,
      connectTimeoutMs: 20_000,
    } as const;
    const events = {
      message: (topic: string, payload: Buffer, _qos: 0 | 1 | 2, retain: boolean) => {
        if (!retain) this.#message(topic, payload);
      },
      closed: () => {
        this.#options.meter.fail('observer: disconnected');
        this.#reconnectLater();
      },
    };
    this.#link =
      options.client === 'light' ? new LightLink(link, events) : new MqttJsLink(link, events);
  }

  /** Connects and subscribes. @throws LinkError; FlotillaError `sim-target-refused` for a rejected filter */
  async start(): Promise<void> {
    await this.#connect();
    for (const filter of this.#options.filters) {
      const code = await this.#link.subscribe(filter, 1);
      if (code >= 0x80) {
        throw new FlotillaError('sim-target-refused', {
          detail: `the observer ${this.#options.name} may not subscribe to ${filter}`,
        });
      }
    }
  }

  /** Sends one command to a device. */
  command(device: number, qos: 0 | 1 | 2, body: string, atUs: number, accounted: boolean): void {
    const { roster, run, meter } = this.#options;
    const id = roster.idOf(device);
    const seq = this.#commandSeqs.get(device) ?? 0;
    this.#commandSeqs.set(device, seq + 1);
    meter.count('commandsSent');
    this.#link.publish(
      `devices/${id}/commands/sim`,
      wrap({ run, id, seq, atUs }, body),
      qos,
      false,
      (failure) => {
        if (failure !== undefined) {
          meter.fail(`command: ${failure}`);
          return;
        }
        meter.count('commandsAcknowledged');
        if (!accounted) return;
        let set = this.#commanded.get(device);
        if (set === undefined) this.#commanded.set(device, (set = new IntervalSet()));
        set.add(seq);
      },
    );
  }

  get unsettled(): number {
    return this.#link.inflight;
  }

  account(): ObserverAccount {
    return {
      broker: this.#options.broker,
      received: [...this.#known.values()].map(({ number, received }) => ({
        device: number,
        ranges: received.toRanges(),
      })),
      commanded: [...this.#commanded].map(([device, set]) => ({ device, ranges: set.toRanges() })),
    };
  }

  async close(): Promise<void> {
    this.#closing = true;
    await this.#link.end();
  }

  #connect(): Promise<Connected> {
    const { brokers, broker, identity } = this.#options;
    return this.#link.connect({ ...brokerOf(brokers, broker), identity });
  }

  #reconnectLater(): void {
    if (this.#closing) return;
    setTimeout(() => {
      if (this.#closing || this.#link.online) return;
      this.#connect().catch(() => this.#reconnectLater());
    }, reconnectDelayMs);
  }

  #message(topic: string, payload: Buffer): void {
    const { run, meter, clock, brokers, broker } = this.#options;
    const envelope = unwrap(payload);
    if (envelope === undefined || envelope.run !== run) {
      meter.count('foreign');
      return;
    }
    const known = this.#knownOf(envelope.id);
    if (known !== undefined && brokerIndexOf(known.number, brokers.length) !== broker) {
      // Brokers may forward messages to each other: only the device's own broker must deliver them.
      meter.count('foreign');
    } else if (known !== undefined && topic === `devices/${envelope.id}/replies`) {
      meter.count('repliesReceived');
      meter.time('roundtrip', clock.nowUs() - envelope.atUs);
    } else if (known === undefined || !known.topics.includes(topic)) {
      meter.count('misdelivered');
      meter.fail('misdelivered: a message with the topic of another device');
    } else if (known.received.add(envelope.seq)) {
      meter.count('delivered');
      meter.time('endToEnd', clock.nowUs() - envelope.atUs);
    } else {
      meter.count('duplicated');
    }
  }

  #knownOf(id: string): KnownDevice | undefined {
    const known = this.#known.get(id);
    if (known !== undefined) return known;
    const { roster } = this.#options;
    const number = roster.numberOf(id);
    if (number === undefined) return undefined;
    const author = roster.authorOf(number);
    const topics = roster.groupOf(number).publish.map(({ topic }) => topicFor(topic, author));
    const made = { number, topics, received: new IntervalSet() };
    this.#known.set(id, made);
    return made;
  }
}
