/**
 * A broker that reads the feed: what the service knows about its connection.
 *
 * @module
 */
import type { Writable } from 'node:stream';
import type { DeviceId } from '../../core/device-id.ts';
import type { KnownGeneration } from '../../core/protocol/generation.ts';
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

/** The effect of a change at the brokers. */
export interface Effect {
  readonly connectionsClosed: number;
  /**
   * The brokers that were connected at that time, and how many of them did not report before the timeout.
   */
  readonly brokers: number;
  readonly late: number;
  /** The names of the late ones. */
  readonly lateBrokers: readonly DeviceId[];
  /** Brokers that do not follow the feed now and would be admitted again. */
  readonly absentBrokers: readonly DeviceId[];
}

/** What a broker says that it has. */
export interface FeedPosition {
  readonly epoch?: string | undefined;
  /** The newest change in this epoch. */
  readonly since?: number | undefined;
  readonly known?: KnownGeneration | undefined;
}
