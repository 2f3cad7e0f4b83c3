/**
 * How busy a front is.
 *
 * @module
 */

/** How busy a front is now. */
export interface FrontLoad {
  /** Connections whose TLS handshake is complete. */
  readonly connections: number;
  /** Since the start of the front. */
  readonly handshakes: number;
  /** The share of the time that the event loop worked, from 0 to 1, in the last 100 ms. */
  readonly busyShare: number;
}
