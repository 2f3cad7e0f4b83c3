/**
 * A broker that reads the feed: what the service knows about its connection.
 *
 * @module
 */
import type { Writable } from 'node:stream';
import type { DeviceId } from '../../core/device-id.ts';
import type { FeedPeer } from './directory-entry.ts';

/** A stream that a broker reads, from its first line on. */
export interface Serving extends FeedPeer {
  readonly stream: Writable;
}

export interface Subscriber extends Serving {
  /** Changes up to this number were written to the stream. */
  sent: number;
  /** The broker has reported that changes up to this number are in force. */
  applied: number;
  /** Whether the snapshot was sent completely. */
  live: boolean;
  readonly connectedAtMs: number;
  reportedAtMs: number | undefined;
  /** Optional kinds of lines that the broker understands. */
  readonly features: readonly string[];
}

/** One connection of a broker to the feed. */
export interface FeedLink {
  readonly broker: DeviceId;
  readonly connectedAtMs: number;
  readonly reportedAtMs: number | undefined;
  /** The number of changes that it has not reported as in force. */
  readonly changesBehind: number;
  readonly lagBytes: number;
}
