/**
 * One page of a device query, read from the index.
 *
 * @module
 */
import { setImmediate as turn } from 'node:timers/promises';
import type { DeviceIndex } from './device-index.ts';
import { matcherOf } from './device-query.ts';
import type { DeviceRecord } from './records.ts';
import type { DevicePage, DeviceQuery, Stored } from './registry.ts';

/** Rows looked at before other work gets its turn: about 2 ms. */
const rowsPerTurn = 4000;

/** The devices that match, in the order of their ids' bytes. */
export async function listDevices(index: DeviceIndex, query: DeviceQuery): Promise<DevicePage> {
  const devices: Stored<DeviceRecord>[] = [];
  const matches = matcherOf(query);
  // Compared before the row itself is touched: this rules out most rows.
  const { expiresBeforeMs: endsBeforeMs } = query;
  const prefix = query.idPrefix ?? '';
  let after = query.after ?? '';
  let place = firstPlace(index, after, prefix);
  for (let looked = 1; ; looked++, place++) {
    const row = index.at(place);
    if (row === undefined) break;
    const { id } = row;
    if (prefix !== '' && id > prefix && !id.startsWith(prefix)) break;
    if ((endsBeforeMs === undefined || index.endAt(place) < endsBeforeMs) && matches(row)) {
      if (devices.length === query.limit) return { devices, next: devices.at(-1)?.id ?? null };
      devices.push(row);
    }
    after = id;
    if (looked % rowsPerTurn === 0) {
      await turn();
      place = index.firstAfter(after) - 1;
    }
  }
  return { devices, next: null };
}

function firstPlace(index: DeviceIndex, after: string, prefix: string): number {
  if (prefix <= after) return index.firstAfter(after);
  const place = index.firstAfter(prefix);
  // An id that equals the prefix comes just before those that begin with it.
  return place > 0 && index.at(place - 1)?.id === prefix ? place - 1 : place;
}
