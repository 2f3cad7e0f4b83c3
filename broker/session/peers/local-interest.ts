/**
 * The filters that the receivers of this partition need from the others: how many receivers have each filter at each
 * QoS, and what waits until all partitions know a filter.
 *
 * Changes are numbered. Every other partition has acknowledged all changes up to some number, so that nothing is
 * stored for each filter and partition.
 *
 * @module
 */
import { WideMap } from '../../../core/wide-map.ts';
import type { Subscription } from '../../routing/topic-route.ts';
import type { Qos } from '../../store/session-store.ts';
import type { Receiver } from '../delivery/receiver.ts';
import { ReceiverConfirmation } from '../delivery/receiver-confirmation.ts';
import type { SubscriptionObserver } from '../state/context.ts';

/** Announces the changes to one partition. */
export interface InterestTarget {
  /** Up to this change, the partition has acknowledged everything. */
  readonly acknowledged: number;
  changed(filter: string, change: number): void;
}

interface Entry {
  /** The number of subscriptions with QoS 0, 1 and 2. */
  readonly counts: [number, number, number];
  /** The highest QoS. */
  qos: Qos;
  /** The last change that added the filter or raised its QoS. */
  raisedAt: number;
}

/** What waits until a change is acknowledged. */
interface Waiting {
  readonly change: number;
  readonly confirmation: ReceiverConfirmation;
}

export class LocalInterest implements SubscriptionObserver {
  readonly #entries = new WideMap<string, Entry>();
  #targets: readonly InterestTarget[] = [];
  #change = 0;
  /** The lowest number that a partition has acknowledged. */
  #acknowledged = Infinity;
  /** In the order of their changes. */
  #waiting: Waiting[] = [];

  /** The number of the last change. */
  get change(): number {
    return this.#change;
  }

  /** How many filters there are. */
  get size(): number {
    return this.#entries.size;
  }

  /** All filters. It may be read while they change: then each change is announced as well. */
  filters(): Iterator<string> {
    return this.#entries.keys();
  }

  /** The QoS of a filter; undefined if no receiver has it. */
  qosOf(filter: string): Qos | undefined {
    return this.#entries.get(filter)?.qos;
  }

  /** From now on, these are informed of changes. */
  announceTo(targets: readonly InterestTarget[]): void {
    this.#targets = targets;
    this.onAcknowledged();
  }

  added(
    { filter, group, qos }: Subscription<Receiver>,
    replaced: Subscription<Receiver> | undefined,
  ): void {
    if (group !== undefined) return;
    let entry = this.#entries.get(filter);
    if (entry === undefined) {
      entry = { counts: [0, 0, 0], qos, raisedAt: this.#change + 1 };
      entry.counts[qos]++;
      this.#entries.set(filter, entry);
      this.#changed(filter);
      return;
    }
    if (replaced !== undefined) entry.counts[replaced.qos]--;
    entry.counts[qos]++;
    this.#update(filter, entry);
  }

  removed({ filter, group, qos }: Subscription<Receiver>): void {
    const entry = group === undefined ? this.#entries.get(filter) : undefined;
    if (entry === undefined) return;
    entry.counts[qos]--;
    const [none, once, twice] = entry.counts;
    if (none + once + twice > 0) {
      this.#update(filter, entry);
      return;
    }
    this.#entries.delete(filter);
    this.#changed(filter);
  }

  /**
   * What must be confirmed before all partitions know a filter at the QoS that it has now; undefined: they know it.
   * It is never failed.
   */
  announced(filter: string): ReceiverConfirmation | undefined {
    const change = this.#entries.get(filter)?.raisedAt;
    if (change === undefined || change <= this.#acknowledged) return undefined;
    const last = this.#waiting.at(-1);
    if (last === undefined || last.change < change) {
      const waiting = { change: this.#change, confirmation: new ReceiverConfirmation() };
      this.#waiting.push(waiting);
      return waiting.confirmation;
    }
    return (this.#waiting.find((one) => one.change >= change) ?? last).confirmation;
  }

  /** A partition has acknowledged changes. */
  onAcknowledged(): void {
    let acknowledged = Infinity;
    for (const target of this.#targets) acknowledged = Math.min(acknowledged, target.acknowledged);
    this.#acknowledged = acknowledged;
    const open = this.#waiting.findIndex(({ change }) => change > acknowledged);
    const done = this.#waiting.splice(0, open < 0 ? this.#waiting.length : open);
    for (const { confirmation } of done) confirmation.confirm();
  }

  #update(filter: string, entry: Entry): void {
    const { counts } = entry;
    const qos: Qos = counts[2] > 0 ? 2 : counts[1] > 0 ? 1 : 0;
    if (qos === entry.qos) return;
    if (qos > entry.qos) entry.raisedAt = this.#change + 1;
    entry.qos = qos;
    this.#changed(filter);
  }

  #changed(filter: string): void {
    this.#change++;
    for (const target of this.#targets) target.changed(filter, this.#change);
  }
}
