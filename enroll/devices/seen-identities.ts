/**
 * To which brokers each identity is connected, and when it was connected last.
 *
 * @module
 */
import type { DeviceId } from '../../core/device-id.ts';
import { WideMap } from '../../core/wide-map.ts';

export interface Seen {
  readonly brokers: Set<DeviceId>;
  lastSeenAtMs: number;
}

/** How many entries are looked at before one is added to a full map. */
const looksMax = 64;

/**
 * At most `max` identities, and those above it that are connected: their number is limited by the registry. An identity
 * that is not connected makes room for a new one.
 */
export class SeenIdentities {
  readonly #max: number;
  readonly #seen = new WideMap<DeviceId, Seen>();
  /** It goes on where it stopped: from the beginning it would see the same connected identities each time. */
  #search: Iterator<readonly [DeviceId, Seen]> = this.#seen.entries();

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#seen.size;
  }

  get(id: DeviceId): Seen | undefined {
    return this.#seen.get(id);
  }

  /** The entry of an identity, which is created if there is none. */
  entry(id: DeviceId): Seen {
    const known = this.#seen.get(id);
    if (known !== undefined) return known;
    this.#makeRoom();
    const made: Seen = { brokers: new Set(), lastSeenAtMs: 0 };
    this.#seen.set(id, made);
    return made;
  }

  values(): Iterable<Seen> {
    return this.#seen.values();
  }

  #makeRoom(): void {
    for (let looks = 0; looks < looksMax && this.#seen.size >= this.#max; looks++) {
      const step = this.#search.next();
      if (step.done === true) this.#search = this.#seen.entries();
      else if (step.value[1].brokers.size === 0) this.#seen.delete(step.value[0]);
    }
  }
}
