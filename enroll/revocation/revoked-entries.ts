/**
 * The entries of the CRLs, encoded once: a revocation appends one entry instead of encoding a list of 100,000
 * again. Suspended identities are kept separately, because a suspension may end.
 *
 * The entries are read from the registry for the first list, and again after {@link RevokedEntries.forget},
 * which removes those of expired certificates.
 *
 * @module
 */
import { CrlEntries } from '../../certs/crl-entries.ts';
import type { Clock } from '../../core/clock.ts';
import { heldSinceMs, isHeld } from '../registry/certificate-status.ts';
import type { DeviceRecord, RevocationRecord } from '../registry/records.ts';
import type { Committed, Registry } from '../registry/registry.ts';

export class RevokedEntries {
  readonly #registry: Registry;
  readonly #clock: Clock;
  readonly #unwatch: () => void;
  /** By issuer. */
  #revoked = new Map<string, CrlEntries>();
  /** The rows of suspended and quarantined identities, by id. */
  #held = new Map<string, DeviceRecord>();
  #isRead = false;
  /** The commits since the registry began to be read. */
  #meanwhile: Committed[] | undefined;

  constructor({ registry, clock }: { readonly registry: Registry; readonly clock: Clock }) {
    this.#registry = registry;
    this.#clock = clock;
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
        if (status === 'revoked' || notAfterMs <= now) continue;
        listOf(found, issuer).add({ serial, atMs, reason: 'certificateHold' });
      }
    }
    return found;
  }

  async #read(): Promise<void> {
    this.#revoked = new Map();
    this.#held = new Map();
    this.#meanwhile = [];
    this.#isRead = true;
    try {
      // Newer rows are reported by the watcher when they are durable.
      const upTo = this.#registry.number;
      for await (const row of this.#registry.rows('revocations')) {
        if (row.version <= upTo) this.#add(row);
      }
      for await (const row of this.#registry.rows('devices')) {
        if (row.version <= upTo && isHeld(row)) this.#held.set(row.id, row);
      }
      for (const committed of this.#meanwhile) this.#take(committed);
    } catch (error) {
      this.#isRead = false;
      throw error;
    } finally {
      this.#meanwhile = undefined;
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
      }
    }
    for (const { table, key } of deletions) if (table === 'devices') this.#held.delete(key);
  }

  #add(record: RevocationRecord): void {
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
