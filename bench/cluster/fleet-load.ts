/**
 * Load of a fleet with QoS 0, 1 and 2 at a fixed rate: devices publish to topics of their own, which observers receive, and
 * observers publish commands, which the devices receive. All sessions are kept. One observer is away until the end.
 *
 * @module
 */
import type { Clients } from '../clients.ts';
import { ExactClient } from '../kill/exact-client.ts';
import type { LoadQos } from '../load/frames.ts';
import type { LoadTarget } from '../load/load-client.ts';
import { waitFor, waitWhileActive } from './bounded-wait.ts';
import { DeliveryLedger } from './delivery-ledger.ts';
import { sumsOf, violationsOf, type LedgerSums, type Violations } from './ledger-check.ts';
import { RoamingClients } from './roaming-clients.ts';

const observerCount = 4;
const outstandingMax = 20;
const tickMs = 10;
/** What has not arrived this long after the last packet is lost. */
const silenceMaxMs = 60_000;
const startTogether = 50;

export interface FleetLoadOptions {
  readonly clients: Pick<Clients, 'context'>;
  readonly devices: number;
  /** Messages per second of all clients together. */
  readonly ratePerSecond: number;
  readonly targets: () => readonly LoadTarget[];
  readonly random: () => number;
}

export interface FleetOutcome extends Violations {
  readonly sums: LedgerSums;
  readonly unexpected: readonly string[];
  readonly sessionsLost: number;
  /** Acknowledgements from a broker that had been left already. */
  readonly lateAcknowledgements: number;
}

interface Publisher {
  readonly client: ExactClient;
  /** Its topics; each has one QoS. */
  readonly topics: readonly { readonly topic: string; readonly qos: LoadQos }[];
}

export class FleetLoad {
  readonly roaming: RoamingClients;
  readonly ledger = new DeliveryLedger();
  readonly #options: FleetLoadOptions;
  readonly #devices: readonly ExactClient[];
  readonly #observers: readonly ExactClient[];
  readonly #absent: ExactClient;
  readonly #publishers: readonly Publisher[];
  readonly #timer: NodeJS.Timeout;
  #tickAtMs = performance.now();
  #due = 0;
  isOn = false;

  private constructor(options: FleetLoadOptions) {
    this.#options = options;
    const names = Array.from({ length: options.devices }, (_, index) => `device-${index}`);
    const observerNames = Array.from({ length: observerCount }, (_, index) => `service-${index}`);
    const absentName = `service-${observerCount}`;
    this.#devices = names.map((name) => this.#client(name));
    this.#observers = observerNames.map((name) => this.#client(name));
    this.#absent = this.#client(absentName);
    const all = [...observerNames, absentName];
    const ups = names.map((name, index) =>
      this.#publisher(
        this.#devices[index]!,
        (kind) => `devices/${name}/up/${kind}`,
        () => all,
      ),
    );
    // Each observer commands the devices of its own share.
    const downs = names.map((name, index) => {
      const of = index % observerCount;
      const topic = (kind: string): string => `devices/${name}/commands/${of}/${kind}`;
      return this.#publisher(this.#observers[of]!, topic, () => [name]);
    });
    this.#publishers = [...ups, ...downs];
    this.roaming = new RoamingClients(
      [...this.#devices, ...this.#observers],
      options.targets,
      options.random,
    );
    this.#timer = setInterval(() => this.#publish(), tickMs);
  }

  /** Connects and subscribes all clients, at all nodes. */
  static async start(options: FleetLoadOptions): Promise<FleetLoad> {
    const load = new FleetLoad(options);
    await waitFor('all clients', () => load.roaming.areConnected);
    const subscribe = async (client: ExactClient, filter: string): Promise<void> => {
      await client.subscribe(filter, 2);
    };
    for (let from = 0; from < load.#devices.length; from += startTogether) {
      const some = load.#devices.slice(from, from + startTogether);
      await Promise.all(
        some.map((one, index) => subscribe(one, `devices/device-${from + index}/commands/#`)),
      );
    }
    await Promise.all(load.#observers.map((one) => subscribe(one, 'devices/+/up/#')));
    const [target] = options.targets();
    if (target === undefined) throw new Error('no node runs');
    await load.#absent.connect(target);
    await subscribe(load.#absent, 'devices/+/up/#');
    load.#absent.leave();
    return load;
  }

  close(): void {
    clearInterval(this.#timer);
    this.roaming.close();
    for (const one of [...this.#devices, ...this.#observers, this.#absent]) one.drop();
  }

  /** Ends the load, waits until everything in flight has arrived, and checks it. */
  async settle(): Promise<FleetOutcome> {
    this.isOn = false;
    const { ledger } = this;
    const active = [...this.#devices, ...this.#observers];
    const progress = (): number => ledger.progress;
    const absentName = `service-${observerCount}`;
    const lost = (): readonly string[] => violationsOf(ledger.streams).lost;
    const isPresent = (text: string): boolean => !text.startsWith(`${absentName} `);
    await waitWhileActive(
      () => active.every(({ outstanding }) => outstanding === 0) && !lost().some(isPresent),
      progress,
      silenceMaxMs,
    );
    const [target] = this.#options.targets();
    if (target !== undefined) await this.#absent.connect(target);
    await waitWhileActive(() => lost().length === 0, progress, silenceMaxMs);
    // Duplicates, if there are any, arrive late.
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const all = [...active, this.#absent];
    const sum = (of: (one: ExactClient) => number): number =>
      all.reduce((total, one) => total + of(one), 0);
    return {
      ...violationsOf(ledger.streams),
      sums: sumsOf(ledger.streams),
      unexpected: ledger.unexpected,
      sessionsLost: sum(({ sessionsLost }) => sessionsLost),
      lateAcknowledgements: sum(({ lateAcknowledgements }) => lateAcknowledgements),
    };
  }

  #client(name: string): ExactClient {
    return new ExactClient({
      context: this.#options.clients.context(name),
      clientId: name,
      completed: this.ledger.acknowledge,
      received: (topic, text) => this.ledger.receive(name, topic, text),
    });
  }

  #publisher(
    client: ExactClient,
    topicOf: (kind: string) => string,
    subscribers: () => readonly string[],
  ): Publisher {
    const topics = ([0, 1, 2] as const).map((qos) => ({ topic: topicOf(`q${qos}`), qos }));
    for (const { topic, qos } of topics) this.ledger.add(topic, qos, subscribers());
    return { client, topics };
  }

  #publish(): void {
    const nowMs = performance.now();
    const { ratePerSecond, random } = this.#options;
    // After a pause of this process, the rate is not made up for.
    this.#due = Math.min(
      this.#due + ((nowMs - this.#tickAtMs) * ratePerSecond) / 1000,
      ratePerSecond,
    );
    this.#tickAtMs = nowMs;
    if (!this.isOn) return;
    for (; this.#due >= 1; this.#due--) {
      const publisher = this.#publishers[Math.floor(random() * this.#publishers.length)];
      const stream = publisher?.topics[Math.floor(random() * 3)];
      if (publisher === undefined || stream === undefined) return;
      this.#publishOne(publisher.client, stream.topic, stream.qos);
    }
  }

  #publishOne(client: ExactClient, topic: string, qos: LoadQos): void {
    if (qos === 0) {
      if (!client.publishOnce(topic, this.ledger.publish(topic))) this.ledger.takeBack(topic);
      return;
    }
    if (client.outstanding < outstandingMax) client.publish(topic, this.ledger.publish(topic), qos);
  }
}
