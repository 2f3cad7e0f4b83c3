/**
 * The members of one shared subscription in another partition, as one receiver.
 *
 * @module
 */
import type { Qos } from '../../store/session-store.ts';
import type { Message } from '../delivery/message.ts';
import { oneReady, type Readiness, type Receiver } from '../delivery/receiver.ts';

/** The session of the partition. */
export interface PeerGroupSession {
  readonly readiness: Readiness;
  deliver(message: Message, qos: Qos, retain: boolean, identifiers: readonly number[]): boolean;
}

export class PeerGroup implements Receiver {
  readonly isPartition = true;
  readonly session: PeerGroupSession;
  #whenReady: Readiness = { ready: 0, busy: 0, offline: 1 };
  #whenBusy: Readiness = this.#whenReady;
  #whenAway: Readiness = this.#whenReady;

  /** Until the partition announces its members, they count as one that is not connected. */
  constructor(session: PeerGroupSession) {
    this.session = session;
  }

  /** @param connected how many members have a connection @param offline how many have none */
  setMembers(connected: number, offline: number): void {
    this.#whenReady = { ready: connected, busy: 0, offline };
    this.#whenBusy = { ready: 0, busy: connected, offline };
    this.#whenAway = { ready: 0, busy: 0, offline: connected + offline };
  }

  get readiness(): Readiness {
    const { readiness } = this.session;
    if (readiness === oneReady) return this.#whenReady;
    return readiness.busy > 0 ? this.#whenBusy : this.#whenAway;
  }

  deliver(message: Message, qos: Qos, retain: boolean, identifiers: readonly number[]): boolean {
    return this.session.deliver(message, qos, retain, identifiers);
  }

  mayReceive(): boolean {
    return true;
  }
}
