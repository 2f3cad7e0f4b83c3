/**
 * The messages between the store and its writing thread.
 *
 * @module
 */
import type { ErrorCode } from '../../core/errors/catalogue.ts';

/** A message to the writing thread. */
export type StoreRequest =
  | { readonly type: 'batch'; readonly number: number; readonly data: Uint8Array<ArrayBuffer> }
  | { readonly type: 'read'; readonly id: number; readonly sequences: Float64Array<ArrayBuffer> }
  /** Retained messages in the order of their rows, behind a row. */
  | { readonly type: 'readRetained'; readonly afterRow: number }
  /** Copies the committed state to a new file. */
  | { readonly type: 'copy'; readonly id: number; readonly path: string }
  | { readonly type: 'close' };

/** The contents of the database, read at the start. */
export interface StoreContents {
  /** `[id, client, identity, version, expiry, disconnected, identityCreated]` */
  readonly sessions: readonly (readonly [
    number,
    string,
    string,
    number,
    number,
    number | null,
    number | null,
  ])[];
  /** `[session, filter, options, identifier]` */
  readonly subscriptions: readonly (readonly [number, string, number, number])[];
  /** `[session, packet]` */
  readonly incoming: readonly (readonly [number, number])[];
  /** Six numbers per entry, ordered by sequence: sequence, session, state, packet, bytes, body. */
  readonly queue: Float64Array<ArrayBuffer>;
  /** `[client, identity, delay, due, message, identityCreated, fingerprint]` */
  readonly wills: readonly (readonly [
    string,
    string,
    number,
    number | null,
    Uint8Array,
    number | null,
    string | null,
  ])[];
}

/** A queue entry from the database: sequence, flags, identifiers, message. */
export type QueueRow = readonly [number, number, string | null, Uint8Array | null];

/** Some retained messages, each prefixed with its length (u32). */
export interface RetainedPage {
  readonly data: Uint8Array<ArrayBuffer>;
  /** The row of the last one; 0: there are no more. */
  readonly lastRow: number;
}

/** A message from the writing thread. */
export type StoreReply =
  | { readonly type: 'opened'; readonly contents: StoreContents }
  | { readonly type: 'committed'; readonly number: number; readonly tookMs: number }
  | { readonly type: 'rows'; readonly id: number; readonly rows: readonly QueueRow[] }
  | ({ readonly type: 'retained' } & RetainedPage)
  | { readonly type: 'failed'; readonly code: ErrorCode; readonly detail: string | undefined }
  /** The disk is full: what is not committed is kept and tried again. The next `committed` ends it. */
  | { readonly type: 'stalled'; readonly detail: string }
  /** The same, without a `committed`. */
  | { readonly type: 'resumed' }
  /** What another writing thread than the usual one has to say to those who chose it. */
  | { readonly type: 'notice'; readonly notice: unknown }
  /** `fault`: why the copy could not be made. */
  | { readonly type: 'copied'; readonly id: number; readonly fault: string | undefined }
  | { readonly type: 'closed' };
