/**
 * The state of one session [MQTT-4.1.0-1]: subscriptions, what is owed, what came in at QoS 2 and is
 * not released, the will; and the connection that holds it now, if any.
 *
 * @module
 */
import type { Cancel } from '../../../core/clock.ts';
import type { ErrorCode } from '../../../core/errors/catalogue.ts';
import type { Identity } from '../../contracts/identity.ts';
import type { Qos, SubscriptionRecord, WillRecord } from '../../store/session-store.ts';
import type { Message } from '../delivery/message.ts';
import {
  OutboundQueue,
  type DropReason,
  type PacketSink,
  type OutboundLimits,
  type Qos0Totals,
} from '../delivery/outbound-queue.ts';
import type { Readiness, Receiver } from '../delivery/receiver.ts';
import type { SessionContext } from './context.ts';

/** Session Expiry Interval of a session that never expires. */
export const neverExpires = 0xffff_ffff;

/** The connection, as far as its session needs it. */
export interface SessionOwner extends PacketSink {
  readonly identity: Identity;
  close(code: ErrorCode): void;
}

/** Where a session reports that the message being routed waits for the store. */
export interface Touch {
  touched: boolean;
}

export class Session implements Receiver {
  readonly clientId: string;
  readonly identityId: string;
  /** Seconds after the connection; 0: ends with it. */
  expirySeconds = 0;
  protocolVersion: 3 | 4 | 5 = 4;
  owner: SessionOwner | undefined = undefined;
  /** Of the last connection; undefined after a restart of the broker. */
  identity: Identity | undefined = undefined;
  readonly subscriptions = new Map<string, SubscriptionRecord>();
  /** Packet ids of QoS 2 publishes that wait for PUBREL. */
  incoming: Set<number> | undefined = undefined;
  will: WillRecord | undefined = undefined;
  limits: OutboundLimits;
  readonly outbound: OutboundQueue;
  cancelExpiry: Cancel | undefined = undefined;
  cancelWill: Cancel | undefined = undefined;
  /**
   * Whether it stands in the store. It still does when a later connection set its expiry to 0: until
   * it ends.
   */
  readonly kept: boolean;
  readonly #context: SessionContext;
  readonly #touch: Touch;

  constructor(
    clientId: string,
    identityId: string,
    expirySeconds: number,
    context: SessionContext,
    touch: Touch,
  ) {
    this.clientId = clientId;
    this.identityId = identityId;
    this.expirySeconds = expirySeconds;
    this.#context = context;
    this.#touch = touch;
    this.limits = outboundLimits(context, undefined);
    this.kept = expirySeconds > 0;
    this.outbound = new OutboundQueue(clientId, this, this.kept);
  }

  get store(): SessionContext['store'] {
    return this.#context.store;
  }

  get qos0Totals(): Qos0Totals {
    return this.#context.qos0Totals;
  }

  fitsInTotal(bytes: number): boolean {
    const { store, qos0Totals, limits } = this.#context;
    const { queuedMessages, queuedBytes } = store.statistics;
    return (
      queuedMessages + qos0Totals.messages < limits.queuedTotalMaxMessages &&
      queuedBytes + qos0Totals.bytes + bytes <= limits.queuedTotalMaxBytes
    );
  }

  get readiness(): Readiness {
    if (this.owner === undefined) return 'away';
    return this.owner.hasRoom && this.outbound.isIdle ? 'able' : 'busy';
  }

  deliver(message: Message, qos: Qos, retain: boolean, identifiers: readonly number[]): void {
    if (qos === 0) {
      const { owner, outbound } = this;
      if (owner === undefined || outbound.hasWaitingQos0) {
        outbound.queueQos0(message, retain, identifiers);
      } else {
        owner.sendQos0(message, retain, identifiers);
      }
    } else {
      this.outbound.deliver(message, qos, retain, identifiers);
    }
  }

  mayReceive(topic: string): boolean {
    const { identity } = this;
    // Nobody of it has connected since the start: what is queued now is judged when it connects.
    return identity === undefined || this.#context.authorizer.receive(identity, topic);
  }

  nowMs(): number {
    return this.#context.clock.now();
  }

  touched(): void {
    this.#touch.touched = true;
  }

  dropped(reason: DropReason, messages: number): void {
    const { identity } = this;
    if (identity !== undefined) this.#context.events.dropped(identity, reason, messages);
  }

  failed(error: unknown): void {
    this.#context.log.error({ err: error, clientId: this.clientId }, 'the queue cannot be read');
    this.owner?.close('internal');
  }

  /** Puts the session's record in the store, if it is kept. */
  save(disconnectedAtMs: number | undefined): void {
    if (!this.kept) return;
    this.store.putSession({
      clientId: this.clientId,
      identityId: this.identityId,
      protocolVersion: this.protocolVersion,
      expirySeconds: this.expirySeconds,
      disconnectedAtMs,
    });
  }
}

/**
 * What may wait for the sessions of an identity. Of one that has not connected since the broker
 * started, the configuration's word holds.
 */
export function outboundLimits(
  { authorizer, limits }: Pick<SessionContext, 'authorizer' | 'limits'>,
  identity: Identity | undefined,
): OutboundLimits {
  const { queuePerSessionMaxMessages, queuePerSessionMaxBytes, queueOverflow, queueQos0 } = limits;
  const own = identity === undefined ? undefined : authorizer.limits(identity);
  return {
    queueMaxMessages: Math.min(own?.queueMaxMessages ?? Infinity, queuePerSessionMaxMessages),
    queueMaxBytes: Math.min(own?.queueMaxBytes ?? Infinity, queuePerSessionMaxBytes),
    queueOverflow: own?.queueOverflow ?? queueOverflow,
    queueQos0: own?.queueQos0 ?? queueQos0,
  };
}
