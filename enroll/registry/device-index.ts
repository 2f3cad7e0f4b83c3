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

export class DeviceIndex {
  readonly #serials: HolderIndex;
  readonly #keys: HolderIndex;
  /**
   * The rows in the order of the bytes of their ids. Ids are ASCII, so the order of strings is the same.
   */
  #sorted: Stored<DeviceRecord>[] = [];
  /** {@link endOf} of each row of `#sorted`: an array of numbers is faster to scan. */
  #ends: number[] = [];

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
    const place = this.firstAfter(id);
    if (after === undefined) {
      this.#sorted.splice(place - 1, 1);
      this.#ends.splice(place - 1, 1);
    } else if (before !== undefined) {
      this.#sorted[place - 1] = after;
      this.#ends[place - 1] = endOf(after);
    } else {
      this.#sorted.splice(place, 0, after);
      this.#ends.splice(place, 0, endOf(after));
    }
  }

  /** The position of the first id above `text`. */
  firstAfter(text: string): number {
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
    return this.#sorted[place];
  }

  /** When the newest active certificate of the row at a position expires; see {@link endOf}. */
  endAt(place: number): number {
    return this.#ends[place] ?? Infinity;
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
