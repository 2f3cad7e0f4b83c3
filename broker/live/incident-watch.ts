/**
 * Finds clones and flapping devices as they happen.
 *
 * - A *clone*: the same certificate connects from one address, then from another, then from the
 *   first again, and again, inside a window. One change of address is a device that moved.
 * - *Flapping*: more connections of one identity in a minute than allowed.
 *
 * Memory is bounded: identities that did not connect for a window are forgotten, and the oldest when
 * there are too many.
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';
import type { Identity } from '../identity.ts';

/** How long connects are remembered for clones. */
export const cloneWindowMs = 10 * 60_000;
/** So many returns to an address left before make a clone. */
export const cloneReturns = 2;
const minuteMs = 60_000;
const identitiesMax = 200_000;
const addressesMax = 16;

/** What was found, once for each window. */
export interface Finding {
  readonly kind: 'clone' | 'flapping';
  readonly addresses: readonly string[];
}

interface Past {
  serial: string;
  address: string;
  addresses: Set<string>;
  returns: number;
  sinceMs: number;
  minute: number;
  connects: number;
  toldClone: boolean;
  toldFlapping: boolean;
}

export class IncidentWatch {
  readonly #clock: Clock;
  readonly #perMinuteMax: number;
  readonly #past = new Map<string, Past>();

  constructor(clock: Clock, connectsPerMinuteMax: number) {
    this.#clock = clock;
    this.#perMinuteMax = connectsPerMinuteMax;
  }

  /**
   * A connection was admitted, before its CONNECT.
   *
   * @returns `refuse`: it is one too many this minute; `finding`: to be told, once
   */
  admitted(identity: Identity): { readonly refuse: boolean; readonly finding?: Finding } {
    const past = this.#of(identity);
    const minute = Math.floor(this.#clock.monotonicMs() / minuteMs);
    if (minute !== past.minute) {
      past.minute = minute;
      past.connects = 0;
      past.toldFlapping = false;
    }
    past.connects++;
    if (past.connects <= this.#perMinuteMax) return { refuse: false };
    if (past.toldFlapping) return { refuse: true };
    past.toldFlapping = true;
    return { refuse: true, finding: { kind: 'flapping', addresses: [identity.remoteAddress] } };
  }

  /** A CONNECT was accepted. */
  connected(identity: Identity): Finding | undefined {
    const past = this.#of(identity);
    const nowMs = this.#clock.monotonicMs();
    if (past.serial !== identity.serial || nowMs - past.sinceMs > cloneWindowMs) {
      Object.assign(past, fresh(identity, nowMs), {
        minute: past.minute,
        connects: past.connects,
        toldFlapping: past.toldFlapping,
      });
      return undefined;
    }
    if (past.address === identity.remoteAddress) return undefined;
    if (past.addresses.has(identity.remoteAddress)) past.returns++;
    else if (past.addresses.size < addressesMax) past.addresses.add(identity.remoteAddress);
    past.address = identity.remoteAddress;
    if (past.returns < cloneReturns || past.toldClone) return undefined;
    past.toldClone = true;
    return { kind: 'clone', addresses: [...past.addresses] };
  }

  #of(identity: Identity): Past {
    const known = this.#past.get(identity.id);
    if (known !== undefined) return known;
    if (this.#past.size >= identitiesMax) {
      const [oldest] = this.#past.keys();
      if (oldest !== undefined) this.#past.delete(oldest);
    }
    const past = fresh(identity, this.#clock.monotonicMs());
    this.#past.set(identity.id, past);
    return past;
  }
}

function fresh(identity: Identity, nowMs: number): Past {
  return {
    serial: identity.serial,
    address: identity.remoteAddress,
    addresses: new Set([identity.remoteAddress]),
    returns: 0,
    sinceMs: nowMs,
    minute: -1,
    connects: 0,
    toldClone: false,
    toldFlapping: false,
  };
}
