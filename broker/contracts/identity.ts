/**
 * The identity of a connection, as admission determined it.
 *
 * @module
 */
import type { DeviceId } from '../../core/device-id.ts';
import type { Standing } from '../../core/policy/standing.ts';
import type { DirectoryEntry } from '../../core/protocol/feed.ts';

/** The identity of one verified TLS connection. */
export interface Identity {
  readonly id: DeviceId;
  /** Its current directory entry. It is replaced, never changed in place: compare by reference. */
  entry: DirectoryEntry;
  standing: Standing;
  /** The serial number of the certificate in lower-case hexadecimal, as in the directory. */
  readonly serial: string;
  /** The fingerprint of the certificate: `sha256:` and 64 hexadecimal digits. */
  readonly fingerprint: string;
  /** The fingerprint of the CA certificate that issued it, as node:crypto writes it. Undefined for an operator's call. */
  readonly issuer?: string;
  readonly notAfterMs: number;
  readonly remoteAddress: string;
  /** `TLSv1.2` or `TLSv1.3`. */
  readonly tlsVersion: string;
  readonly tlsResumed: boolean;
}
