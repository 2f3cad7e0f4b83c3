/**
 * What the registry looks devices up by, beside their id. Kept in memory, made anew at each start.
 *
 * @module
 */
import type { DeviceId } from '../../core/device-id.ts';
import type { DeviceRecord } from './records.ts';
import type { Stored } from './registry.ts';

export class DeviceIndex {
  readonly #bySerial = new Map<string, DeviceId>();
  readonly #byKey = new Map<string, DeviceId>();
  /** The rows once more, so that a walk over all of them need not find the shard of each. */
  readonly #rows = new Map<DeviceId, Stored<DeviceRecord>>();
  /** In the order of their bytes; ids are ASCII, so the order of strings is that of bytes. */
  #ids: DeviceId[] = [];

  bySerial(serial: string): DeviceId | undefined {
    return this.#bySerial.get(serial);
  }

  byKey(keyFingerprint: string): DeviceId | undefined {
    return this.#byKey.get(keyFingerprint);
  }

  /** Whether a row would take a serial number or key that belongs to another identity. */
  clashes(record: DeviceRecord): boolean {
    return record.certificates.some(({ serial, keyFingerprint }) => {
      const holders = [this.#bySerial.get(serial), this.#byKey.get(keyFingerprint)];
      return holders.some((holder) => holder !== undefined && holder !== record.id);
    });
  }

  /** Fills an empty index. */
  fill(records: Iterable<Stored<DeviceRecord>>): void {
    for (const record of records) {
      this.#rows.set(record.id, record);
      this.#ids.push(record.id);
      this.#addCertificates(record);
    }
    this.#ids.sort();
  }

  replace(before: Stored<DeviceRecord> | undefined, after: Stored<DeviceRecord> | undefined): void {
    if (after !== undefined) this.#rows.set(after.id, after);
    else if (before !== undefined) this.#rows.delete(before.id);
    if (before !== undefined) this.#removeCertificates(before);
    if (after !== undefined) this.#addCertificates(after);
    if (before === undefined && after !== undefined) {
      const at = this.firstAfter(after.id);
      if (at === this.#ids.length) this.#ids.push(after.id);
      else this.#ids.splice(at, 0, after.id);
    }
    if (before !== undefined && after === undefined) {
      this.#ids.splice(this.firstAfter(before.id) - 1, 1);
    }
  }

  /** The place of the first id above `text`. */
  firstAfter(text: string): number {
    let low = 0;
    let high = this.#ids.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const id = this.#ids[middle];
      if (id !== undefined && id <= text) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  at(place: number): DeviceId | undefined {
    return this.#ids[place];
  }

  row(id: DeviceId): Stored<DeviceRecord> | undefined {
    return this.#rows.get(id);
  }

  #addCertificates(record: DeviceRecord): void {
    for (const certificate of record.certificates) {
      this.#bySerial.set(certificate.serial, record.id);
      this.#byKey.set(certificate.keyFingerprint, record.id);
    }
  }

  #removeCertificates(record: DeviceRecord): void {
    for (const certificate of record.certificates) {
      this.#bySerial.delete(certificate.serial);
      this.#byKey.delete(certificate.keyFingerprint);
    }
  }
}
