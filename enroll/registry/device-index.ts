/**
 * Indexes over the devices: by serial number, by key, and in the order of ids. In memory, built at each
 * start.
 *
 * @module
 */
import type { DeviceId } from '../../core/device-id.ts';
import { endOf } from './device-query.ts';
import { HolderIndex } from './holder-index.ts';
import type { CertificateRecord, DeviceRecord } from './records.ts';
import type { Stored } from './registry.ts';

/** So few new or deleted rows are put into the sorted rows one by one; that costs a copy of the rows for each of them. */
const fewRows = 16;
/** So many are merged even if nobody reads. */
const manyRows = 50_000;

export class DeviceIndex {
  readonly #serials: HolderIndex;
  readonly #keys: HolderIndex;
  /**
   * The rows in the order of the bytes of their ids. Ids are ASCII, so the order of strings is the same.
   */
  #sorted: Stored<DeviceRecord>[] = [];
  /** {@link endOf} of each row of `#sorted`: an array of numbers is faster to scan. */
  #ends: number[] = [];
  /**
   * Rows that are new or deleted (undefined), and not in the sorted rows yet. The next read merges them: an import of a
   * million rows would otherwise copy the sorted rows a million times.
   */
  readonly #pending = new Map<string, Stored<DeviceRecord> | undefined>();

  /** @param rowOf the row of an identity now */
  constructor(rowOf: (id: DeviceId) => DeviceRecord | undefined) {
    const finds =
      (matches: (certificate: CertificateRecord, text: string) => boolean) =>
      (id: DeviceId, text: string): boolean =>
        rowOf(id)?.certificates.some((certificate) => matches(certificate, text)) ?? false;
    this.#serials = new HolderIndex(finds(({ serial }, text) => serial === text));
    this.#keys = new HolderIndex(finds(({ keyFingerprint }, text) => keyFingerprint === text));
  }

  bySerial(serial: string): DeviceId | undefined {
    return this.#serials.find(serial);
  }

  byKey(keyFingerprint: string): DeviceId | undefined {
    return this.#keys.find(keyFingerprint);
  }

  /** Whether a row contains a serial number or key that belongs to another identity. */
  clashes(record: DeviceRecord): boolean {
    return record.certificates.some(({ serial, keyFingerprint }) => {
      const holders = [this.bySerial(serial), this.byKey(keyFingerprint)];
      return holders.some((holder) => holder !== undefined && holder !== record.id);
    });
  }

  /** Fills an empty index. */
  fill(records: Iterable<Stored<DeviceRecord>>): void {
    for (const record of records) {
      this.#sorted.push(record);
      this.#addCertificates(record);
    }
    this.#sorted.sort(({ id: one }, { id: other }) => (one < other ? -1 : 1));
    this.#ends = this.#sorted.map(endOf);
  }

  replace(before: Stored<DeviceRecord> | undefined, after: Stored<DeviceRecord> | undefined): void {
    if (before !== undefined) this.#removeCertificates(before);
    if (after !== undefined) this.#addCertificates(after);
    const id = (after ?? before)?.id;
    if (id === undefined) return;
    if (before === undefined || after === undefined || this.#pending.has(id)) {
      this.#pending.set(id, after);
      if (this.#pending.size >= manyRows) this.#merge();
      return;
    }
    const place = this.#firstAfter(id) - 1;
    this.#sorted[place] = after;
    this.#ends[place] = endOf(after);
  }

  /** The position of the first id above `text`. */
  firstAfter(text: string): number {
    this.#merge();
    return this.#firstAfter(text);
  }

  #firstAfter(text: string): number {
    let low = 0;
    let high = this.#sorted.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const row = this.#sorted[middle];
      if (row !== undefined && row.id <= text) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  at(place: number): Stored<DeviceRecord> | undefined {
    this.#merge();
    return this.#sorted[place];
  }

  /** When the newest active certificate of the row at a position expires; see {@link endOf}. */
  endAt(place: number): number {
    this.#merge();
    return this.#ends[place] ?? Infinity;
  }

  #merge(): void {
    if (this.#pending.size === 0) return;
    const changes = [...this.#pending].sort(([one], [other]) => (one < other ? -1 : 1));
    this.#pending.clear();
    if (changes.length <= fewRows) {
      for (const [id, row] of changes) this.#put(id, row);
      return;
    }
    const sorted: Stored<DeviceRecord>[] = [];
    let next = 0;
    for (const [id, row] of changes) {
      const until = this.#firstAfter(id);
      while (next < until) {
        const kept = this.#sorted[next++];
        if (kept !== undefined && kept.id !== id) sorted.push(kept);
      }
      if (row !== undefined) sorted.push(row);
    }
    for (; next < this.#sorted.length; next++) {
      const kept = this.#sorted[next];
      if (kept !== undefined) sorted.push(kept);
    }
    this.#sorted = sorted;
    this.#ends = sorted.map(endOf);
  }

  #put(id: string, row: Stored<DeviceRecord> | undefined): void {
    const after = this.#firstAfter(id);
    const known = this.#sorted[after - 1]?.id === id ? 1 : 0;
    const rows = row === undefined ? [] : [row];
    this.#sorted.splice(after - known, known, ...rows);
    this.#ends.splice(after - known, known, ...rows.map(endOf));
  }

  #addCertificates(record: DeviceRecord): void {
    for (const certificate of record.certificates) {
      this.#serials.add(certificate.serial, record.id);
      this.#keys.add(certificate.keyFingerprint, record.id);
    }
  }

  #removeCertificates(record: DeviceRecord): void {
    for (const certificate of record.certificates) {
      this.#serials.remove(certificate.serial, record.id);
      this.#keys.remove(certificate.keyFingerprint, record.id);
    }
  }
}
