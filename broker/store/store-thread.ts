/**
 * What the store and its writing thread say to each other.
 *
 * @module
 */
import type { ErrorCode } from '../../core/errors/catalogue.ts';

/** To the thread. */
export type Order =
  | { readonly type: 'batch'; readonly number: number; readonly data: Uint8Array<ArrayBuffer> }
  | { readonly type: 'read'; readonly id: number; readonly sequences: Float64Array<ArrayBuffer> }
  | { readonly type: 'close' };

/** What stands in the database, as it is read at the start. */
export interface Contents {
  /** `[id, client, identity, version, expiry, disconnected]` */
  readonly sessions: readonly (readonly [number, string, string, number, number, number | null])[];
  /** `[session, filter, options, identifier]` */
  readonly subscriptions: readonly (readonly [number, string, number, number])[];
  /** `[session, packet]` */
  readonly incoming: readonly (readonly [number, number])[];
  /** Six numbers an entry, in order of sequence: sequence, session, state, packet, bytes, body. */
  readonly queue: Float64Array<ArrayBuffer>;
  readonly retained: readonly Uint8Array[];
  /** `[client, identity, delay, due, message]` */
  readonly wills: readonly (readonly [string, string, number, number | null, Uint8Array])[];
}

/** An entry as it is read: sequence, flags, identifiers, message. */
export type QueueRow = readonly [number, number, string | null, Uint8Array | null];

/** From the thread. */
export type Notice =
  | { readonly type: 'opened'; readonly contents: Contents }
  | { readonly type: 'committed'; readonly number: number; readonly tookMs: number }
  | { readonly type: 'rows'; readonly id: number; readonly rows: readonly QueueRow[] }
  | { readonly type: 'failed'; readonly code: ErrorCode; readonly detail: string | undefined }
  | { readonly type: 'closed' };
