/**
 * The memory that clients can use in the session layer, apart from messages: each kind has a limit for all
 * and a share for an identity or a connection, and is counted as the memory that it needs.
 *
 * @module
 */
import type { BrokerLimits } from '../../../core/config/limits.ts';
import type { WillRecord } from '../../store/session-store.ts';
import {
  openPart,
  SharedRoom,
  shareIn,
  type Amount,
  type OwnerShare,
} from '../../store/shared-room.ts';

/** Packet ids of received QoS 2 messages: those of two sessions of an identity in all. */
const unreleasedPerOwnerMax = 2 * 65_535;
/** The memory of a will without topic and payload. */
const willOverheadBytes = 600;
/** What a connection may always buffer, however little is left. */
const bufferedMinBytes = 16 * 1024;

/** Bytes in buffers of all connections. The less is left, the less one connection may have. */
export class BufferedBytes {
  bytes = 0;
  readonly #maxBytes: number;
  /** Up to here there is enough room for all. Compared first: this is asked for each message. */
  readonly #openBytes: number;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
    this.#openBytes = maxBytes * openPart;
  }

  /** Whether a connection may have less than usual. */
  get isScarce(): boolean {
    return this.bytes > this.#openBytes;
  }

  /** @param maxBytes what a connection may have while there is enough room for all */
  shareOf(maxBytes: number): number {
    if (this.bytes <= this.#openBytes) return maxBytes;
    return shareIn(maxBytes, this.#maxBytes, this.bytes, bufferedMinBytes);
  }
}

export class Rooms {
  readonly subscriptions: SharedRoom;
  /** Stored sessions. */
  readonly sessions: SharedRoom;
  readonly wills: SharedRoom;
  /** Topics that connections keep: aliases, and the cache of those they publish to. */
  readonly topics: SharedRoom;
  /** Packet ids of received QoS 2 messages that wait for PUBREL. */
  readonly unreleased: SharedRoom;
  /** What clients have not read. */
  readonly outbound: BufferedBytes;
  /** Received packets that are not complete. */
  readonly inbound: BufferedBytes;
  readonly #limits: BrokerLimits;

  constructor(limits: BrokerLimits) {
    this.#limits = limits;
    this.subscriptions = new SharedRoom({
      max: limits.subscriptionsTotalMax,
      maxBytes: limits.subscriptionsTotalMaxBytes,
    });
    this.sessions = new SharedRoom({ max: limits.sessionsTotalMax, maxBytes: Infinity });
    this.wills = new SharedRoom({ max: Infinity, maxBytes: limits.willsTotalMaxBytes });
    this.topics = new SharedRoom({ max: Infinity, maxBytes: limits.topicsTotalMaxBytes });
    this.unreleased = new SharedRoom({ max: limits.unreleasedTotalMax, maxBytes: Infinity });
    this.outbound = new BufferedBytes(limits.outboundTotalMaxBytes);
    this.inbound = new BufferedBytes(limits.inboundTotalMaxBytes);
  }

  /** Whether an identity may have one more stored session. @param max its share */
  hasRoomForSession(id: string, max: number): boolean {
    const share = { id, max, maxBytes: Infinity };
    return this.sessions.refusal(share, oneEntry) === undefined;
  }

  /** @param replaced a will of the same session, whose room it takes */
  hasRoomForWill(id: string, will: Pick<WillRecord, 'message'>, replaced?: WillRecord): boolean {
    const { bytes } = willAmount(will);
    const added = {
      entries: 1,
      bytes: bytes - (replaced === undefined ? 0 : willAmount(replaced).bytes),
    };
    const share = { id, max: Infinity, maxBytes: this.#limits.willsPerDeviceMaxBytes };
    return this.wills.refusal(share, added) === undefined;
  }

  hasRoomForUnreleased(id: string): boolean {
    const share = { id, max: unreleasedPerOwnerMax, maxBytes: Infinity };
    return this.unreleased.refusal(share, oneEntry) === undefined;
  }

  topicShareOf(id: string): OwnerShare {
    return { id, max: Infinity, maxBytes: this.#limits.topicsPerDeviceMaxBytes };
  }
}

export const oneEntry: Amount = { entries: 1, bytes: 0 };

/** What a will counts for. */
export function willAmount({ message }: Pick<WillRecord, 'message'>): Amount {
  const { topic, payload, properties } = message;
  const bytes = willOverheadBytes + topic.length + payload.length + (properties?.length ?? 0);
  return { entries: 1, bytes };
}
