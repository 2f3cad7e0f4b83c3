/**
 * Detects cloned certificates, overlapping connections and flapping devices.
 *
 * - *Clone*: within one time window, the same certificate connects from one address, then from
 *   another, and returns to addresses it had left. A single change of address is a device that moved.
 * - *Overlap*: connections repeatedly take the session over from a live connection with the same
 *   address. Two copies behind one address do this, but so does a device whose old connections died.
 * - *Flapping*: an identity opens more connections per minute than allowed.
 *
 * Memory is bounded: when the maximum number of identities is reached, the oldest one is removed.
 *
 * @module
 */
import { AgeMap } from '../../core/age-map.ts';
import type { Clock } from '../../core/clock.ts';
import type { Incident } from '../../core/protocol/feed.ts';
import type { Identity } from '../contracts/identity.ts';

/** How long connects are remembered to detect clones and overlaps. */
export const cloneWindowMs = 10 * 60_000;
/** Returns to an earlier address that make a clone. */
export const cloneReturns = 2;
/** Session takeovers from a live connection that make an overlap. */
export const overlapTakeovers = 3;
const minuteMs = 60_000;
const identitiesMax = 200_000;
const addressesMax = 16;

/** A detected incident. Each kind is reported once per window. */
export interface Finding {
  readonly kind: Incident['kind'];
  readonly addresses: readonly string[];
}

interface History {
  serial: string;
  /** Undefined before the first CONNECT of the window. */
  address: string | undefined;
  addresses: Set<string>;
  returns: number;
  startedAtMs: number;
  minute: number;
  connects: number;
  takeovers: number;
  reportedClone: boolean;
  reportedOverlap: boolean;
  reportedFlapping: boolean;
}

export class IncidentDetector {
  readonly #clock: Clock;
  readonly #connectsPerMinuteMax: number;
  readonly #histories = new AgeMap<string, History>();

  constructor(clock: Clock, connectsPerMinuteMax: number) {
    this.#clock = clock;
    this.#connectsPerMinuteMax = connectsPerMinuteMax;
  }

  /**
   * Counts an admitted connection, before its CONNECT.
   *
   * @returns `refuse`: whether it exceeds the limit of this minute; `finding`: an incident to report
   */
  admitted(identity: Identity): { readonly refuse: boolean; readonly finding?: Finding } {
    const history = this.#historyOf(identity);
    const minute = Math.floor(this.#clock.monotonicMs() / minuteMs);
    if (minute !== history.minute) {
      history.minute = minute;
      history.connects = 0;
      history.reportedFlapping = false;
    }
    history.connects++;
    if (history.connects <= this.#connectsPerMinuteMax) return { refuse: false };
    if (history.reportedFlapping) return { refuse: true };
    history.reportedFlapping = true;
    return { refuse: true, finding: { kind: 'flapping', addresses: [identity.remoteAddress] } };
  }

  /** Records an accepted CONNECT. @param takesOver whether it took the session over from a live connection */
  connected(identity: Identity, takesOver: boolean): Finding | undefined {
    const history = this.#historyOf(identity);
    const nowMs = this.#clock.monotonicMs();
    if (history.serial !== identity.serial || nowMs - history.startedAtMs > cloneWindowMs) {
      startWindow(history, identity, nowMs);
    }
    if (history.address === identity.remoteAddress) {
      return takesOver ? overlap(history, identity) : undefined;
    }
    if (history.addresses.has(identity.remoteAddress)) history.returns++;
    else if (history.addresses.size < addressesMax) history.addresses.add(identity.remoteAddress);
    history.address = identity.remoteAddress;
    if (history.returns < cloneReturns || history.reportedClone) return undefined;
    history.reportedClone = true;
    return { kind: 'clone', addresses: [...history.addresses] };
  }

  #historyOf(identity: Identity): History {
    const known = this.#histories.get(identity.id);
    if (known !== undefined) return known;
    if (this.#histories.size >= identitiesMax) {
      const oldest = this.#histories.oldestKey();
      if (oldest !== undefined) this.#histories.delete(oldest);
    }
    const history = newHistory(identity, this.#clock.monotonicMs());
    this.#histories.set(identity.id, history);
    return history;
  }
}

function overlap(history: History, { remoteAddress }: Identity): Finding | undefined {
  history.takeovers++;
  if (history.takeovers < overlapTakeovers || history.reportedOverlap) return undefined;
  history.reportedOverlap = true;
  return { kind: 'overlap', addresses: [remoteAddress] };
}

/** Starts a new window. The count of connects in this minute continues. */
function startWindow(history: History, identity: Identity, nowMs: number): void {
  const { minute, connects, reportedFlapping } = history;
  Object.assign(history, newHistory(identity, nowMs), { minute, connects, reportedFlapping });
}

function newHistory(identity: Identity, nowMs: number): History {
  return {
    serial: identity.serial,
    address: undefined,
    addresses: new Set(),
    returns: 0,
    startedAtMs: nowMs,
    minute: -1,
    connects: 0,
    takeovers: 0,
    reportedClone: false,
    reportedOverlap: false,
    reportedFlapping: false,
  };
}
