/**
 * The latest connections and disconnections of all devices, as brokers reported them. In memory and
 * bounded in total: the oldest entry gives way.
 *
 * @module
 */
import type { DeviceId } from '../../core/device-id.ts';
import type { Presence } from '../../core/protocol/feed.ts';

/** About 5 MB. */
const entriesMax = 50_000;
/** So many different texts are remembered at most. */
const textsMax = 4096;

export interface PresenceEntry extends Presence {
  readonly broker: DeviceId;
}

export class PresenceHistory {
  readonly #entries: PresenceEntry[] = [];
  /** Where the next entry goes, once the list is full. */
  #next = 0;
  readonly #texts = new Map<string, string>();

  add(broker: DeviceId, presence: Presence): void {
    const { id, connected, atMs, remoteAddress, reason } = presence;
    // Each report has texts of its own: the same ones are kept once. A spread object would need more memory.
    const serial = this.#shared(presence.serial);
    this.#entries[this.#next] =
      reason === undefined
        ? { id, connected, atMs, serial, remoteAddress, broker }
        : { id, connected, atMs, serial, remoteAddress, broker, reason: this.#shared(reason) };
    this.#next = (this.#next + 1) % entriesMax;
  }

  /** The entries of one device in a span of time (`fromMs` included, `untilMs` not), newest first. */
  of(id: string, fromMs: number, untilMs: number, max: number): PresenceEntry[] {
    return this.#entries
      .filter((one) => one.id === id && one.atMs >= fromMs && one.atMs < untilMs)
      .sort((one, other) => other.atMs - one.atMs)
      .slice(0, max);
  }

  #shared(text: string): string {
    const known = this.#texts.get(text);
    if (known !== undefined) return known;
    if (this.#texts.size >= textsMax) this.#texts.clear();
    this.#texts.set(text, text);
    return text;
  }
}
