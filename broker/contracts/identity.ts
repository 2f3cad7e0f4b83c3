/**
 * Who is on a connection, as admission found it.
 *
 * @module
 */
import type { DeviceId } from '../../core/device-id.ts';
import type { DirectoryEntry } from '../../core/protocol/feed.ts';

/**
 * What an identity may do at all, before the policy is asked: `full`; `renewal-only` when its
 * certificate ended less than the grace period ago; `quarantined` when it may do nothing but stay.
 */
export type Standing = 'full' | 'renewal-only' | 'quarantined';

/** The holder of one verified TLS connection. */
export interface Identity {
  readonly id: DeviceId;
  /** What the directory says of it now. Replaced, never changed in place: compare by reference. */
  entry: DirectoryEntry;
  standing: Standing;
  /** Lower-case hexadecimal, as in the directory. */
  readonly serial: string;
  /** `sha256:` and 64 hexadecimal digits. */
  readonly fingerprint: string;
  readonly notAfterMs: number;
  readonly remoteAddress: string;
  /** `TLSv1.2` or `TLSv1.3`. */
  readonly tlsVersion: string;
  readonly tlsResumed: boolean;
}
