/**
 * The entries of the CRLs, encoded once: a revocation appends one entry instead of encoding a list of 100,000
 * again. Suspended identities are kept separately, because a suspension may end, and retired certificates,
 * because they may be revoked with another reason.
 *
 * The entries are read from the registry for the first list, and again after {@link RevokedEntries.forget},
 * which removes those of expired certificates. An entry stays for `keepMs` after the end of its certificate, so that
 * it is also on a list that is issued after that end (RFC 5280, 3.3).
 *
 * @module
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { CrlEntries } from '../../certs/crl-entries.ts';
import type { Clock } from '../../core/clock.ts';
import { endedSinceMs, heldSinceMs, isHeld } from '../registry/certificate-status.ts';
import type { CertificateRecord, DeviceRecord, RevocationRecord } from '../registry/records.ts';
import type { Committed, Registry } from '../registry/registry.ts';

/** How many entries are added before other work gets a turn. */
const sliceSize = 10_000;

export interface RevokedEntriesDeps {
  readonly registry: Registry;
  readonly clock: Clock;
  /** How long an entry stays after the end of its certificate, in ms. */
  readonly keepMs: number;
  /** Called when a certificate was retired. */
  readonly retired?: () => void;
}

export class RevokedEntries {
  readonly #registry: Registry;
  readonly #clock: Clock;
  readonly #keepMs: number;
  readonly #retiredOne: () => void;
  readonly #unwatch: () => void;
  /** By issuer. */
  #revoked = new Map<string, CrlEntries>();
  /** The rows of suspended and quarantined identities, by id. */
  #held = new Map<string, DeviceRecord>();
  /**
   * Certificates without a row in `revocations` that are not valid any more: retired ones, and revoked ones whose row
   * was lost. By serial.
   */
  #ended = new Map<string, CertificateRecord>();
  #isRead = false;
  /** The commits since the registry began to be read. */
  #meanwhile: Committed[] | undefined;

  constructor({ registry, clock, keepMs, retired }: RevokedEntriesDeps) {
    this.#registry = registry;
    this.#clock = clock;
    this.#keepMs = keepMs;
    this.#retiredOne = retired ?? (() => undefined);
    this.#unwatch = registry.watch((committed) => {
      if (this.#meanwhile !== undefined) this.#meanwhile.push(committed);
      else if (this.#isRead) this.#take(committed);
    });
  }

  /** Reads everything again the next time. */
  forget(): void {
    this.#isRead = false;
  }

  close(): void {
    this.#unwatch();
  }

  /** All entries that are durable now, by issuer. Must not be called again before it is done. */
  async current(): Promise<ReadonlyMap<string, CrlEntries>> {
    while (!this.#isRead) await this.#read();
    const now = this.#clock.now();
    const found = new Map([...this.#revoked].map(([issuer, list]) => [issuer, list.fork()]));
    for (const record of this.#held.values()) {
      const atMs = heldSinceMs(record, now) ?? now;
      for (const { issuer, serial, status, notAfterMs } of record.certificates) {
        if (status !== 'active' || this.#isOver(notAfterMs, now)) continue;
        listOf(found, issuer).add({ serial, atMs, reason: 'certificateHold' });
      }
    }
    let count = 0;
    for (const certificate of this.#ended.values()) {
      const { issuer, serial, status, notAfterMs } = certificate;
      if (this.#isOver(notAfterMs, now)) continue;
      const atMs = endedSinceMs(certificate);
      const reason = status === 'retired' ? 'superseded' : 'unspecified';
      listOf(found, issuer).add({ serial, atMs, reason });
      if (++count % sliceSize === 0) await nextTurn();
    }
    return found;
  }

  #isOver(notAfterMs: number, nowMs: number): boolean {
    return notAfterMs + this.#keepMs <= nowMs;
  }

  async #read(): Promise<void> {
    this.#revoked = new Map();
    this.#held = new Map();
    this.#ended = new Map();
    this.#meanwhile = [];
    this.#isRead = true;
    try {
      // Newer rows are reported by the watcher when they are durable.
      const upTo = this.#registry.number;
      for await (const row of this.#registry.rows('revocations')) {
        if (row.version <= upTo) this.#add(row);
      }
      for await (const row of this.#registry.rows('devices')) {
        if (row.version > upTo) continue;
        if (isHeld(row)) this.#held.set(row.id, row);
        await this.#readEnded(row);
      }
      for (const committed of this.#meanwhile) this.#take(committed);
    } catch (error) {
      this.#isRead = false;
      throw error;
    } finally {
      this.#meanwhile = undefined;
    }
  }

  /** A revoked certificate has a row in `revocations`, unless a wrong clock made it expire too early. */
  async #readEnded({ certificates }: DeviceRecord): Promise<void> {
    const now = this.#clock.now();
    for (const certificate of certificates) {
      const { serial, status, notAfterMs } = certificate;
      if (status === 'active' || this.#isOver(notAfterMs, now)) continue;
      if ((await this.#registry.get('revocations', serial)) === undefined) {
        this.#ended.set(serial, certificate);
      }
    }
  }

  #takeRetired({ certificates }: DeviceRecord): void {
    for (const certificate of certificates) {
      const { serial, status } = certificate;
      if (status !== 'retired') continue;
      if (!this.#ended.has(serial)) this.#retiredOne();
      this.#ended.set(serial, certificate);
    }
  }

  #take({ puts, deletions }: Committed): void {
    for (const { table, record, expected } of puts) {
      if (table === 'revocations') {
        if (expected === 0) this.#add(record);
        else this.#isRead = false;
      } else if (table === 'devices') {
        if (isHeld(record)) this.#held.set(record.id, record);
        else this.#held.delete(record.id);
        this.#takeRetired(record);
      }
    }
    for (const { table, key } of deletions) if (table === 'devices') this.#held.delete(key);
  }

  #add(record: RevocationRecord): void {
    this.#ended.delete(record.serial);
    listOf(this.#revoked, record.issuer).add(record);
  }
}

function listOf(lists: Map<string, CrlEntries>, issuer: string): CrlEntries {
  const known = lists.get(issuer);
  if (known !== undefined) return known;
  const made = new CrlEntries();
  lists.set(issuer, made);
  return made;
}
