/**
 * The keys of TLS session tickets (RFC 5077, RFC 8446 section 4.6.1) that all nodes of a cluster derive from one secret, so
 * that a device resumes its TLS session at any of them. They change every day, and with the CA certificates that are trusted.
 *
 * @module
 */
import { createHash, hkdfSync } from 'node:crypto';
import { dayMs } from '../../core/config/duration.ts';

/** What `node:tls` expects: name, HMAC key and AES key of 16 bytes each. */
const ticketKeyBytes = 48;

export interface TicketKeyInput {
  readonly secret: Uint8Array;
  /** Each port has keys of its own. */
  readonly port: string;
  /** PEM of the CA certificates that are trusted. */
  readonly authorities: readonly string[];
  readonly nowMs: number;
}

/** The keys of a port on one day. */
export function sharedTicketKeys({ secret, port, authorities, nowMs }: TicketKeyInput): Buffer {
  const trusted = createHash('sha256');
  for (const pem of authorities.toSorted()) trusted.update(pem);
  const day = Math.floor(nowMs / dayMs);
  const info = `flotilla session tickets ${port} ${day} ${trusted.digest('hex')}`;
  return Buffer.from(hkdfSync('sha256', secret, '', info, ticketKeyBytes));
}

/** How long the keys of this moment are used, in ms. */
export function ticketKeysLeftMs(nowMs: number): number {
  return dayMs - (nowMs % dayMs);
}
