/**
 * The state of one session [MQTT-4.1.0-1]: its subscriptions, its outbound queue, the QoS 2 messages
 * it received and has not released, its will, and the connection that uses it now, if any.
 *
 * @module
 */
import type { Cancel } from '../../../core/clock.ts';
import type { ErrorCode } from '../../../core/errors/catalogue.ts';
import type { Identity } from '../../contracts/identity.ts';
import type { Qos, SubscriptionRecord, WillRecord } from '../../store/session-store.ts';
import type { OwnerShare } from '../../store/shared-room.ts';
import type { Message } from '../delivery/message.ts';
import type {
  DropReason,
  OutboundContext,
  OutboundLimits,
  QueueStore,
} from '../delivery/outbound-context.ts';
import { OutboundQueue } from '../delivery/outbound-queue.ts';
import type { PacketSink } from '../delivery/packet-sink.ts';
import type { MemoryTotals } from '../delivery/memory-queue.ts';
import type { ReceiverConfirmation } from '../delivery/receiver-confirmation.ts';
import {
  oneBusy,
  oneOffline,
  oneReady,
  type Readiness,
  type Receiver,
} from '../delivery/receiver.ts';
import type { SessionContext } from './context.ts';

/** Session Expiry Interval of a session that never expires. */
export const neverExpires = 0xffff_ffff;

/** The connection that uses a session. */
export interface SessionOwner extends PacketSink {
  readonly identity: Identity;
  close(code: ErrorCode): void;
}

export class Session implements Receiver, OutboundContext {
  readonly clientId: string;
  readonly identityId: string;
  /** How long the session outlives its connection, in seconds; 0: it ends with the connection. */
  expirySeconds: number;
  protocolVersion: 3 | 4 | 5 = 4;
  owner: SessionOwner | undefined = undefined;
  /** When its identity was created; undefined: not known. A deleted name can be used again. */
  identityCreatedAtMs: number | undefined = undefined;
  /** The identity of the last connection; undefined after a restart of the broker. */
  identity: Identity | undefined = undefined;
  readonly subscriptions = new Map<string, SubscriptionRecord>();
  /** Packet ids of received QoS 2 messages that wait for PUBREL. */
  awaitingPubrel: Set<number> | undefined = undefined;
  /** Of these messages, those for which receivers confirmed later, by packet id. */
  unconfirmed: Map<number, readonly ReceiverConfirmation[]> | undefined = undefined;
  will: WillRecord | undefined = undefined;
  limits: OutboundLimits;
  readonly outbound: OutboundQueue;
  cancelExpiry: Cancel | undefined = undefined;
  /** Set while the will waits for its delay. */
  cancelWill: Cancel | undefined = undefined;
  /**
   * Whether the session is in the store. It stays there until it ends, even if a later connection sets
   * its expiry to 0.
   */
  readonly kept: boolean;
  readonly #context: SessionContext;

  constructor(
    clientId: string,
    identityId: string,
    expirySeconds: number,
    context: SessionContext,
  ) {
    this.clientId = clientId;
    this.identityId = identityId;
    this.expirySeconds = expirySeconds;
    this.#context = context;
    this.limits = outboundLimits(context, undefined);
    this.kept = expirySeconds > 0;
    this.outbound = new OutboundQueue(clientId, this, this.kept);
  }

  get store(): SessionContext['store'] {
    return this.#context.store;
  }

  get queues(): QueueStore {
    return this.#context.store;
  }

  get memoryTotals(): MemoryTotals {
    return this.#context.memoryTotals;
  }

  fitsInTotal(bytes: number): boolean {
    const { store, memoryTotals, limits } = this.#context;
    const { queuedMessages, queuedBytes } = store.statistics;
    return (
      queuedMessages + memoryTotals.messages < limits.queuedTotalMaxMessages &&
      queuedBytes + memoryTotals.bytes + bytes <= limits.queuedTotalMaxBytes
    );
  }

  get readiness(): Readiness {
    if (this.owner === undefined) return oneOffline;
    return this.owner.hasRoom && this.outbound.isIdle ? oneReady : oneBusy;
  }

  /** The share of its identity in the room for retained messages. */
  get retainedShare(): OwnerShare {
    const { identity, identityId: id } = this;
    const { authorizer, limits } = this.#context;
    const { retainedMax, retainedMaxBytes } =
      identity === undefined
        ? {
            retainedMax: limits.retainedPerDeviceMax,
            retainedMaxBytes: limits.retainedPerDeviceMaxBytes,
          }
        : authorizer.limits(identity);
    return { id, max: retainedMax, maxBytes: retainedMaxBytes };
  }

  deliver(message: Message, qos: Qos, retain: boolean, identifiers: readonly number[]): boolean {
    if (qos !== 0) return this.outbound.deliver(message, qos, retain, identifiers);
    const { owner, outbound } = this;
    if (owner === undefined || outbound.hasWaitingQos0) {
      outbound.queueQos0(message, retain, identifiers);
    } else {
      owner.sendQos0(message, retain, identifiers);
    }
    return false;
  }

  mayReceive(topic: string): boolean {
    const { identity } = this;
    // The identity has not connected since the broker started: what is queued now is authorized again
    // when it connects.
    return identity === undefined || this.#context.authorizer.receive(identity, topic);
  }

  nowMs(): number {
    return this.#context.clock.now();
  }

  hasExpired(message: Message): boolean {
    return message.expired(this.#context.clock.now());
  }

  dropped(reason: DropReason, messages: number): void {
    const { identity } = this;
    if (identity !== undefined) this.#context.events.dropped(identity, reason, messages);
  }

  failed(error: unknown): void {
    this.#context.events.failed?.({ device: this.identityId }, error, 'could not read the queue');
    this.owner?.close('internal');
  }

  /** Writes the session's record to the store, if the session is kept. */
  save(disconnectedAtMs: number | undefined): void {
    if (!this.kept) return;
    this.store.putSession({
      clientId: this.clientId,
      identityId: this.identityId,
      identityCreatedAtMs: this.identityCreatedAtMs,
      protocolVersion: this.protocolVersion,
      expirySeconds: this.expirySeconds,
      disconnectedAtMs,
    });
  }
}

/**
 * The queue limits of an identity's sessions. Until an identity has connected for the first time after
 * the broker started, the limits of the configuration apply.
 */
export function outboundLimits(
  { authorizer, limits }: Pick<SessionContext, 'authorizer' | 'limits'>,
  identity: Identity | undefined,
): OutboundLimits {
  const { queuePerSessionMaxMessages, queuePerSessionMaxBytes, queueOverflow, queueQos0 } = limits;
  const granted = identity === undefined ? undefined : authorizer.limits(identity);
  return {
    queueMaxMessages: Math.min(granted?.queueMaxMessages ?? Infinity, queuePerSessionMaxMessages),
    queueMaxBytes: Math.min(granted?.queueMaxBytes ?? Infinity, queuePerSessionMaxBytes),
    queueOverflow: granted?.queueOverflow ?? queueOverflow,
    queueQos0: granted?.queueQos0 ?? queueQos0,
  };
}
