/**
 * The latest connections and disconnections of all devices, as brokers reported them. In memory and
 * bounded in total: the oldest entry gives way.
 *
 * @module
 */
import type { DeviceId } from '../../core/device-id.ts';
import type { Presence } from '../../core/protocol/feed.ts';

/** About 10 MB. */
const entriesMax = 50_000;

export interface PresenceEntry extends Presence {
  readonly broker: DeviceId;
}

export class PresenceHistory {
  readonly #entries: PresenceEntry[] = [];
  /** Where the next entry goes, once the list is full. */
  #next = 0;

  add(broker: DeviceId, presence: Presence): void {
    this.#entries[this.#next] = { ...presence, broker };
    this.#next = (this.#next + 1) % entriesMax;
  }

  /** The entries of one device in a span of time (`fromMs` included, `untilMs` not), newest first. */
  of(id: string, fromMs: number, untilMs: number, max: number): PresenceEntry[] {
    return this.#entries
      .filter((one) => one.id === id && one.atMs >= fromMs && one.atMs < untilMs)
      .sort((one, other) => other.atMs - one.atMs)
      .slice(0, max);
  }
}
