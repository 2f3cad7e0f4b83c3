/**
 * All identities in memory, for questions that look at each of them: searches, sorted pages, counts.
 * It follows the registry, and shares its rows, so that it costs one pointer for each device.
 *
 * @module
 */
import type { DeviceId } from '../../core/device-id.ts';
import { WideMap } from '../../core/wide-map.ts';
import type { DeviceRecord } from '../registry/records.ts';
import type { Registry } from '../registry/registry.ts';

/** How many rows are looked at before other work may run: about 2 ms. */
const rowsPerTurn = 5000;

export class DeviceTable {
  readonly #rows = new WideMap<string, DeviceRecord>();
  readonly #stop: () => void;

  private constructor(registry: Registry, touched: Set<string>) {
    this.#stop = registry.watch(({ puts, deletions }) => {
      for (const { table, record } of puts) {
        if (table !== 'devices') continue;
        this.#rows.set(record.id, record);
        touched.add(record.id);
      }
      for (const { table, key } of deletions) {
        if (table !== 'devices') continue;
        this.#rows.delete(key);
        touched.add(key);
      }
    });
  }

  /** Reads every identity, then follows the changes until {@link close}. */
  static async open(registry: Registry): Promise<DeviceTable> {
    // Rows that change while the others are read keep their newer state.
    const touched = new Set<string>();
    const table = new DeviceTable(registry, touched);
    for await (const row of registry.rows('devices')) {
      if (!touched.has(row.id)) table.#rows.set(row.id, row);
    }
    touched.clear();
    return table;
  }

  get size(): number {
    return this.#rows.size;
  }

  get(id: DeviceId): DeviceRecord | undefined {
    return this.#rows.get(id);
  }

  /** Visits every identity, in no order. Other work runs in between. */
  async each(visit: (record: DeviceRecord) => void): Promise<void> {
    let looked = 0;
    for (const record of this.#rows.values()) {
      visit(record);
      if (++looked % rowsPerTurn === 0) await new Promise((resolve) => setImmediate(resolve));
    }
  }

  close(): void {
    this.#stop();
  }
}
