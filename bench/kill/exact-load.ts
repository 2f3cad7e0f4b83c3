/**
 * QoS 1 and 2 load with a ledger: what was published, acknowledged and received.
 *
 * Four devices publish numbered messages with QoS 1 and 2 alternately. One subscriber is connected
 * all the time. Another one subscribes and disconnects; its queue is read at the end.
 *
 * @module
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Clients } from '../clients.ts';
import type { LoadTarget } from '../load/load-client.ts';
import { ExactClient } from './exact-client.ts';

export interface Ledger {
  /** Messages whose acknowledgement the publisher received completely. */
  readonly acknowledged: number;
  readonly deliveries: number;
  /** Acknowledged messages that a subscriber did not receive. */
  readonly lost: readonly string[];
  /** QoS 2 messages delivered more than once. */
  readonly duplicatedQos2: readonly string[];
  /** Allowed: QoS 1 means at least once. */
  readonly duplicatedQos1: number;
  /** QoS 2 messages that were delivered before an earlier one of the same device. */
  readonly outOfOrderQos2: number;
  readonly sessionsLost: number;
}

const publisherCount = 4;
const outstandingMax = 20;
/** What has not arrived this long after the last packet is lost. */
const silenceMaxMs = 30_000;

/** The messages that one subscriber received. */
class DeliveryLog {
  readonly #counts = new Map<string, number>();
  readonly #last = new Map<string, number>();
  deliveries = 0;
  outOfOrder = 0;

  readonly add = (topic: string, text: string, qos: number): void => {
    this.deliveries++;
    this.#counts.set(text, (this.#counts.get(text) ?? 0) + 1);
    if (qos !== 2) return;
    const number = Number(text.slice(text.lastIndexOf('-') + 1));
    if (number < (this.#last.get(topic) ?? 0)) this.outOfOrder++;
    this.#last.set(topic, number);
  };

  count(text: string): number {
    return this.#counts.get(text) ?? 0;
  }
}

export class ExactLoad {
  readonly #clients: Clients;
  readonly #acknowledged = new Set<string>();
  readonly #present = new DeliveryLog();
  readonly #away = new DeliveryLog();
  readonly #publishers: readonly ExactClient[];
  readonly #subscriber: ExactClient;
  readonly #absent: ExactClient;
  readonly #timer: NodeJS.Timeout;
  readonly #sent: number[];
  #acknowledgedAtMs = performance.now();
  #longestSilenceMs = 0;
  /** Whether new messages are published. */
  isOn = false;

  constructor(clients: Clients) {
    this.#clients = clients;
    this.#publishers = Array.from({ length: publisherCount }, (_, index) =>
      this.#client(`device-${index}`, `device-${index}`),
    );
    this.#subscriber = this.#client('service-0', 'service-0/present', this.#present);
    this.#absent = this.#client('service-1', 'service-1/away', this.#away);
    this.#sent = this.#publishers.map(() => 0);
    this.#timer = setInterval(() => this.#publish(), 1);
  }

  /** The clients that are connected all the time. */
  get present(): readonly ExactClient[] {
    return [this.#subscriber, ...this.#publishers];
  }

  get acknowledged(): number {
    return this.#acknowledged.size;
  }

  get delivered(): number {
    return this.#present.deliveries;
  }

  /** When the last message was acknowledged, as `performance.now()`. */
  get acknowledgedAtMs(): number {
    return this.#acknowledgedAtMs;
  }

  get lateAcknowledgements(): number {
    return this.present.reduce((sum, one) => sum + one.lateAcknowledgements, 0);
  }

  /** Connects, subscribes, and leaves one subscriber away. */
  async begin(target: LoadTarget): Promise<void> {
    await this.connect(target);
    await this.#subscriber.subscribe('devices/#', 2);
    await this.#absent.connect(target);
    await this.#absent.subscribe('devices/#', 2);
    this.#absent.leave();
  }

  async connect(target: LoadTarget): Promise<void> {
    await Promise.all(this.present.map((one) => one.connect(target)));
  }

  drop(): void {
    for (const one of this.present) one.drop();
  }

  /** The longest time without an acknowledgement since the last call, in ms. */
  takeLongestSilenceMs(): number {
    const longestMs = Math.max(this.#longestSilenceMs, performance.now() - this.#acknowledgedAtMs);
    this.#longestSilenceMs = 0;
    return longestMs;
  }

  close(): void {
    clearInterval(this.#timer);
    this.drop();
    this.#absent.drop();
  }

  /** Ends the load, and waits until all messages in flight are acknowledged and delivered. */
  async settle(target: LoadTarget): Promise<Ledger> {
    this.isOn = false;
    const all = this.#acknowledged;
    const missing = (log: DeliveryLog): boolean => [...all].some((text) => log.count(text) === 0);
    const sum = (): number => all.size + this.#present.deliveries + this.#away.deliveries;
    const isAcknowledged = (): boolean =>
      this.#publishers.every(({ outstanding }) => outstanding === 0);
    await settled(() => isAcknowledged() && !missing(this.#present), sum);
    await this.#absent.connect(target);
    await settled(() => !missing(this.#away), sum);
    // Duplicates, if there are any, arrive late.
    await delay(300);
    return this.#ledger();
  }

  #client(name: string, clientId: string, log?: DeliveryLog): ExactClient {
    return new ExactClient({
      context: this.#clients.context(name),
      clientId,
      completed: (text) => {
        const nowMs = performance.now();
        this.#longestSilenceMs = Math.max(this.#longestSilenceMs, nowMs - this.#acknowledgedAtMs);
        this.#acknowledgedAtMs = nowMs;
        this.#acknowledged.add(text);
      },
      ...(log === undefined ? {} : { received: log.add }),
    });
  }

  /** Keeps the window of every publisher full while the load is on. */
  #publish(): void {
    if (!this.isOn) return;
    for (const [index, publisher] of this.#publishers.entries()) {
      while (publisher.outstanding < outstandingMax) {
        const number = ++this.#sent[index]!;
        const qos = number % 2 === 0 ? 2 : 1;
        publisher.publish(
          `devices/device-${index}/q${qos}`,
          `device-${index}-q${qos}-${number}`,
          qos,
        );
      }
    }
  }

  #ledger(): Ledger {
    const all = [...this.#acknowledged];
    const logs = [this.#present, this.#away];
    const isLost = (text: string): boolean => logs.some((log) => log.count(text) === 0);
    const isDuplicated = (text: string): boolean => logs.some((log) => log.count(text) > 1);
    return {
      acknowledged: all.length,
      deliveries: this.#present.deliveries + this.#away.deliveries,
      lost: all.filter(isLost),
      duplicatedQos2: all.filter((text) => text.includes('-q2-') && isDuplicated(text)),
      duplicatedQos1: all.filter((text) => text.includes('-q1-') && isDuplicated(text)).length,
      outOfOrderQos2: this.#present.outOfOrder + this.#away.outOfOrder,
      sessionsLost: [this.#subscriber, this.#absent, ...this.#publishers].reduce(
        (sum, one) => sum + one.sessionsLost,
        0,
      ),
    };
  }
}

/** Waits as long as something still arrives: a long queue takes its time on a busy machine. */
async function settled(done: () => boolean, progress: () => number): Promise<void> {
  let before = progress();
  let deadlineMs = performance.now() + silenceMaxMs;
  while (!done() && performance.now() < deadlineMs) {
    await delay(100);
    const now = progress();
    if (now !== before) deadlineMs = performance.now() + silenceMaxMs;
    before = now;
  }
}
