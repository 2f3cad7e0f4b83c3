/**
 * Finds clones, overlapping connections and flapping devices as they happen.
 *
 * - A *clone*: the same certificate connects from one address, then from another, then from the
 *   first again, and again, inside a window. One change of address is a device that moved.
 * - *Overlap*: again and again a connection takes the session from one that had not ended, from the same
 *   address. Two copies behind it do that to each other, but so does a device to its own dead connections.
 * - *Flapping*: more connections of one identity in a minute than allowed.
 *
 * Memory is bounded: identities that did not connect for a window are forgotten, and the oldest when
 * there are too many.
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';
import type { Incident } from '../../core/protocol/feed.ts';
import type { Identity } from '../contracts/identity.ts';

/** How long connects are remembered for clones and overlaps. */
export const cloneWindowMs = 10 * 60_000;
/** So many returns to an address left before make a clone. */
export const cloneReturns = 2;
/** So many sessions taken from a living connection make an overlap. */
export const overlapTakings = 3;
const minuteMs = 60_000;
const identitiesMax = 200_000;
const addressesMax = 16;

/** What was found, once for each window. */
export interface Finding {
  readonly kind: Incident['kind'];
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
  /** Whether the connection that comes next takes the session from a living one. */
  taken: boolean;
  takings: number;
  toldClone: boolean;
  toldOverlap: boolean;
  toldFlapping: boolean;
}

export class IncidentDetector {
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
    const { taken } = past;
    past.taken = false;
    if (past.serial !== identity.serial || nowMs - past.sinceMs > cloneWindowMs) {
      begin(past, identity, nowMs);
      return undefined;
    }
    if (past.address === identity.remoteAddress) return taken ? overlap(past) : undefined;
    if (past.addresses.has(identity.remoteAddress)) past.returns++;
    else if (past.addresses.size < addressesMax) past.addresses.add(identity.remoteAddress);
    past.address = identity.remoteAddress;
    if (past.returns < cloneReturns || past.toldClone) return undefined;
    past.toldClone = true;
    return { kind: 'clone', addresses: [...past.addresses] };
  }

  /** A connection that had not ended loses its session to a new one, of which {@link connected} tells next. */
  taken(identity: Identity): void {
    this.#of(identity).taken = true;
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

function overlap(past: Past): Finding | undefined {
  past.takings++;
  if (past.takings < overlapTakings || past.toldOverlap) return undefined;
  past.toldOverlap = true;
  return { kind: 'overlap', addresses: [past.address] };
}

/** Begins a new window; the minute of the connects goes on. */
function begin(past: Past, identity: Identity, nowMs: number): void {
  const { minute, connects, toldFlapping } = past;
  Object.assign(past, fresh(identity, nowMs), { minute, connects, toldFlapping });
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
    taken: false,
    takings: 0,
    toldClone: false,
    toldOverlap: false,
    toldFlapping: false,
  };
}
