/**
 * The entries of a CRL, written directly into large buffers: 100,000 of them cause no garbage collection
 * that would block the event loop. The caller decides when to yield to other work.
 *
 * @module
 */
import type { RevocationReason } from '../core/protocol/enrollment-api.ts';
import { tags } from './der.ts';
import { elementHeader, enumerated, sequence, time } from './der-encode.ts';
import { extension } from './extensions.ts';
import { oids } from './oids.ts';

/** The reason of a revocation; `certificateHold` is a suspension that may end, `cACompromise` is for issuers only. */
export type CrlReason = RevocationReason | 'certificateHold' | 'cACompromise';

/** CRLReason (RFC 5280, 5.3.1). */
export const crlReasonCodes: Readonly<Record<CrlReason, number>> = {
  unspecified: 0,
  keyCompromise: 1,
  cACompromise: 2,
  affiliationChanged: 3,
  superseded: 4,
  cessationOfOperation: 5,
  certificateHold: 6,
  privilegeWithdrawn: 9,
};

/** One revoked certificate. */
export interface RevokedCertificate {
  /** Hexadecimal, 1 to 20 octets. */
  readonly serial: string;
  readonly atMs: number;
  /** `unspecified` is omitted, as RFC 5280 recommends. */
  readonly reason?: CrlReason;
}

const chunkBytes = 64 * 1024;
/** Header 2, serial 2 + 21, time 2 + 15, reason 14: always below the 128 of a short length. */
const entryMaxBytes = 64;

/** Collects entries, in about 0.3 µs each. Entries never change after that, so lists can share them. */
export class CrlEntries {
  readonly #chunks: Buffer[] = [];
  #chunk = Buffer.alloc(0);
  #at = 0;
  #second = Number.NaN;
  #time: Buffer = Buffer.alloc(0);

  /** The entries of a list that is short enough to be added at once. */
  static of(revoked: Iterable<RevokedCertificate>): CrlEntries {
    const entries = new CrlEntries();
    for (const one of revoked) entries.add(one);
    return entries;
  }

  /** A list that begins with the same entries, without copying them. */
  fork(): CrlEntries {
    const made = new CrlEntries();
    made.#chunks.push(...this.#chunks);
    if (this.#at > 0) made.#chunks.push(Buffer.from(this.#chunk.subarray(0, this.#at)));
    return made;
  }

  /** @throws RangeError for an invalid serial number */
  add({ serial, atMs, reason = 'unspecified' }: RevokedCertificate): void {
    if (!/^(?:[0-9a-fA-F]{2}){1,20}$/.test(serial)) throw new RangeError('not a serial number');
    if (this.#at + entryMaxBytes > this.#chunk.length) {
      if (this.#at > 0) this.#chunks.push(this.#chunk.subarray(0, this.#at));
      this.#chunk = Buffer.allocUnsafe(chunkBytes);
      this.#at = 0;
    }
    const chunk = this.#chunk;
    const start = this.#at;
    let at = this.#serial(start + 2, serial);
    at += this.#timeOf(atMs).copy(chunk, at);
    if (reason !== 'unspecified') at += reasonExtensions[reason].copy(chunk, at);
    chunk[start] = tags.sequence;
    chunk[start + 1] = at - start - 2;
    this.#at = at;
  }

  /** SEQUENCE OF all entries, as chunks to be written one after the other; empty without entries. */
  list(): Buffer[] {
    const chunks = [...this.#chunks, this.#chunk.subarray(0, this.#at)];
    const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    // An empty list is omitted (RFC 5280, 5.1.2.6).
    return bytes === 0 ? [] : [elementHeader(tags.sequence, bytes), ...chunks];
  }

  /** Cached, because certificates that are revoked together share the time, the slowest part to encode. */
  #timeOf(atMs: number): Buffer {
    const second = Math.floor(atMs / 1000);
    if (second !== this.#second) {
      this.#time = time(atMs);
      this.#second = second;
    }
    return this.#time;
  }

  /** INTEGER: no leading zeros, a sign octet when the top bit is set. @returns its end */
  #serial(start: number, serial: string): number {
    const chunk = this.#chunk;
    let from = 0;
    while (from < serial.length - 2 && serial.startsWith('00', from)) from += 2;
    const octets = (serial.length - from) / 2;
    const sign = serial.charCodeAt(from) >= 0x38 ? 1 : 0; // '8' and above, letters included
    chunk[start] = tags.integer;
    chunk[start + 1] = octets + sign;
    if (sign === 1) chunk[start + 2] = 0;
    chunk.write(serial.slice(from), start + 2 + sign, 'hex');
    return start + 2 + sign + octets;
  }
}

const reasonExtension = (reason: CrlReason): Buffer =>
  sequence(extension(oids.reasonCode, enumerated(crlReasonCodes[reason])));

const reasonExtensions: Readonly<Record<Exclude<CrlReason, 'unspecified'>, Buffer>> = {
  keyCompromise: reasonExtension('keyCompromise'),
  cACompromise: reasonExtension('cACompromise'),
  affiliationChanged: reasonExtension('affiliationChanged'),
  superseded: reasonExtension('superseded'),
  cessationOfOperation: reasonExtension('cessationOfOperation'),
  certificateHold: reasonExtension('certificateHold'),
  privilegeWithdrawn: reasonExtension('privilegeWithdrawn'),
};
