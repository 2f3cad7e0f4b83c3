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
import type { SubscribedReceiver, SubscriptionObserver } from '../state/context.ts';
import type { AnnouncedFilter } from './interest-lines.ts';
import { sharedIdentifier, sharedName } from './shared-name.ts';

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
  /** Undefined if the filter is not that of a shared subscription. */
  readonly shared: SharedMembers | undefined;
}

/** The members of a shared subscription. */
interface SharedMembers {
  /** Whether each has a connection. */
  readonly isConnected: Map<Receiver, boolean>;
  connected: number;
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

  /** All filters. It may be read while they change: then each change is announced as well. */
  filters(): Iterator<string> {
    return this.#entries.keys();
  }

  /** What is announced of a filter; undefined if no receiver has it. */
  announcementOf(filter: string): AnnouncedFilter | undefined {
    const entry = this.#entries.get(filter);
    if (entry === undefined) return undefined;
    const { qos, shared } = entry;
    if (shared === undefined) return { filter, qos };
    const { isConnected, connected } = shared;
    const offline = isConnected.size - connected;
    return { filter, qos, identifier: sharedIdentifier(filter), members: connected, offline };
  }

  /** From now on, these are informed of changes. */
  announceTo(targets: readonly InterestTarget[]): void {
    this.#targets = targets;
    this.onAcknowledged();
  }

  added(
    { subscriber, filter, group, qos }: Subscription<Receiver>,
    replaced: Subscription<Receiver> | undefined,
  ): void {
    const name = group === undefined ? filter : sharedName(group, filter);
    let entry = this.#entries.get(name);
    const isNew = entry === undefined;
    if (entry === undefined) {
      const shared = group === undefined ? undefined : { isConnected: new Map(), connected: 0 };
      entry = { counts: [0, 0, 0], qos, raisedAt: this.#change + 1, shared };
      this.#entries.set(name, entry);
    }
    if (replaced !== undefined) entry.counts[replaced.qos]--;
    entry.counts[qos]++;
    const hasNewMember = entry.shared !== undefined && setMember(entry.shared, subscriber);
    this.#update(name, entry, isNew || hasNewMember);
  }

  removed({ subscriber, filter, group, qos }: Subscription<Receiver>): void {
    const name = group === undefined ? filter : sharedName(group, filter);
    const entry = this.#entries.get(name);
    if (entry === undefined) return;
    entry.counts[qos]--;
    if (entry.shared !== undefined) removeMember(entry.shared, subscriber);
    const [none, once, twice] = entry.counts;
    if (none + once + twice === 0) {
      this.#entries.delete(name);
      this.#changed(name);
    } else this.#update(name, entry, entry.shared !== undefined);
  }

  readinessChanged(receiver: SubscribedReceiver): void {
    for (const name of receiver.subscriptions.keys()) {
      const entry = name.startsWith('$share/') ? this.#entries.get(name) : undefined;
      if (entry?.shared !== undefined && setMember(entry.shared, receiver)) this.#changed(name);
    }
  }

  /**
   * What must be confirmed before all partitions know a filter at the QoS that it has now; undefined: they know it.
   * It is never failed.
   *
   * @param filter as clients subscribe to it
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

  #update(name: string, entry: Entry, hasChanged: boolean): void {
    const { counts } = entry;
    const qos: Qos = counts[2] > 0 ? 2 : counts[1] > 0 ? 1 : 0;
    const before = entry.qos;
    if (qos > before) entry.raisedAt = this.#change + 1;
    entry.qos = qos;
    if (hasChanged || qos !== before) this.#changed(name);
  }

  #changed(name: string): void {
    this.#change++;
    for (const target of this.#targets) target.changed(name, this.#change);
  }
}

/** Adds a member, or updates it. @returns whether something has changed */
function setMember(members: SharedMembers, receiver: Receiver): boolean {
  const isConnected = receiver.readiness.offline === 0;
  const before = members.isConnected.get(receiver);
  if (before === isConnected) return false;
  members.isConnected.set(receiver, isConnected);
  if (isConnected) members.connected++;
  else if (before === true) members.connected--;
  return true;
}

function removeMember(members: SharedMembers, receiver: Receiver): void {
  if (members.isConnected.get(receiver) === true) members.connected--;
  members.isConnected.delete(receiver);
}
