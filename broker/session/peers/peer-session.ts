/**
 * The session of another partition: its subscriptions are what the clients of that partition need, and its queue
 * is what waits for it. It never expires, and is in the store as the sessions of clients are.
 *
 * @module
 */
import type { DeviceId } from '../../../core/device-id.ts';
import { splitShared } from '../../../core/topic.ts';
import type { Identity } from '../../contracts/identity.ts';
import type { RecoveredSession, SubscriptionRecord } from '../../store/session-store.ts';
import type { Message } from '../delivery/message.ts';
import type { QueueStore } from '../delivery/outbound-context.ts';
import type { ReceiverConfirmation } from '../delivery/receiver-confirmation.ts';
import type { SessionContext } from '../state/context.ts';
import type { Publisher } from '../state/publisher.ts';
import { neverExpires, Session } from '../state/session.ts';
import { peerIdPrefix } from '../state/peer-id.ts';
import { ConfirmedQueues } from './confirmed-queues.ts';
import { PeerGroup } from './peer-group.ts';
import { awaitRelease } from '../state/unreleased.ts';

export class PeerSession extends Session {
  readonly isPartition = true;
  readonly peerIdentity: Identity;
  readonly #peerContext: SessionContext;
  readonly #publisher: Publisher;
  readonly #queues: ConfirmedQueues;
  /** The shared subscriptions, by their filters. */
  readonly #groups = new Map<string, PeerGroup>();

  /** @param context that of `peer-context.ts` */
  constructor(peer: string, context: SessionContext, publisher: Publisher) {
    const id = peerIdPrefix + peer;
    super(id, id, neverExpires, context);
    this.protocolVersion = 5;
    this.peerIdentity = identityOfPeer(id);
    this.identity = this.peerIdentity;
    this.#peerContext = context;
    this.#publisher = publisher;
    this.#queues = new ConfirmedQueues(context.store);
  }

  override get queues(): QueueStore {
    return this.#queues;
  }

  /** The other partition must know that a retained message was replaced, also by one that has expired. */
  override hasExpired(message: Message): boolean {
    return !message.retain && super.hasExpired(message);
  }

  /** Queues a message that the partition confirms by its PUBACK or PUBREC: then it is durable there. */
  deliverConfirmed(message: Message, qos: 1 | 2, retain: boolean): ReceiverConfirmation {
    return this.#queues.confirmed(() => void this.outbound.deliver(message, qos, retain, []));
  }

  /** The session layer closes: the next one delivers what is in the queue. */
  abandon(): void {
    this.#queues.failAll();
  }

  /** Takes over what is in the store. @param stored undefined: the session is new and is put in the store */
  restore(stored: RecoveredSession | undefined): void {
    if (stored === undefined) {
      this.save(this.nowMs());
      return;
    }
    for (const record of stored.subscriptions) {
      this.subscriptions.set(record.filter, record);
      this.#route(record);
    }
    for (const packetId of stored.incoming) awaitRelease(this.#peerContext, this, packetId);
  }

  /** Adds a subscription, or replaces the one with the same filter. */
  subscribe(record: SubscriptionRecord): void {
    const { filter, qos, identifier } = record;
    const before = this.subscriptions.get(filter);
    if (before?.qos === qos && before.identifier === identifier) return;
    this.subscriptions.set(filter, record);
    this.store.putSubscription(this.clientId, record);
    this.#route(record);
  }

  unsubscribe(filter: string): void {
    if (!this.subscriptions.delete(filter)) return;
    this.store.deleteSubscription(this.clientId, filter);
    const group = this.#groups.get(filter);
    const shared = splitShared(filter);
    if (group === undefined || shared === undefined || shared === 'malformed') {
      this.#publisher.router.remove(this, filter, undefined);
      return;
    }
    this.#groups.delete(filter);
    this.#publisher.router.remove(group, shared.filter, shared.group);
  }

  /** How many members a shared subscription of the partition has. */
  setMembers(filter: string, connected: number, offline: number): void {
    this.#groups.get(filter)?.setMembers(connected, offline);
  }

  #groupOf(filter: string): PeerGroup {
    let group = this.#groups.get(filter);
    if (group === undefined) this.#groups.set(filter, (group = new PeerGroup(this)));
    return group;
  }

  /** In the router only: the other partitions do not need the subscriptions of this one. */
  #route({ filter, qos, retainAsPublished, identifier }: SubscriptionRecord): void {
    const shared = splitShared(filter);
    if (shared === 'malformed') return;
    this.#publisher.router.add({
      subscriber: shared === undefined ? this : this.#groupOf(filter),
      filter: shared?.filter ?? filter,
      group: shared?.group,
      qos,
      noLocal: false,
      retainAsPublished,
      identifier,
    });
  }
}

/** The identity of a partition in places that require one. */
function identityOfPeer(name: string): Identity {
  // No device has such an id, and the policy is never asked about it.
  const id = name as DeviceId;
  return {
    id,
    entry: { id, role: '', status: 'active', group: null, attributes: {}, certificates: [] },
    standing: 'full',
    serial: '',
    fingerprint: '',
    notAfterMs: Infinity,
    remoteAddress: '',
    tlsVersion: '',
    tlsResumed: false,
  };
}
