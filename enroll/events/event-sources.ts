/**
 * Turns what happens in the service into events: lines of the audit log one by one, connections and
 * disconnections in batches, so that a reconnecting fleet does not become a flood of events.
 *
 * @module
 */
import type { Cancel, Clock } from '../../core/clock.ts';
import type { DeviceId } from '../../core/device-id.ts';
import type { Presence } from '../../core/protocol/feed.ts';
import type { PresenceChange } from '../../core/protocol/operator-api.ts';
import type { EventHub } from './event-hub.ts';

/** How long connections are gathered into one event. */
const gatherMs = 250;
/** How many connections one event names; the rest is only counted. */
const changesMax = 200;

export class PresenceEvents {
  readonly #hub: EventHub;
  readonly #clock: Clock;
  readonly #connected: () => number;
  #changes: PresenceChange[] = [];
  #more = 0;
  #planned: Cancel | undefined;

  /** @param connected how many identities are connected now */
  constructor(hub: EventHub, clock: Clock, connected: () => number) {
    this.#hub = hub;
    this.#clock = clock;
    this.#connected = connected;
  }

  add(broker: DeviceId, { id, connected, atMs, remoteAddress, reason }: Presence): void {
    if (this.#changes.length < changesMax) {
      this.#changes.push({
        device: id,
        connected,
        at: new Date(atMs).toISOString(),
        broker,
        remoteAddress,
        ...(reason === undefined ? {} : { reason }),
      });
    } else this.#more++;
    this.#planned ??= this.#clock.after(gatherMs, () => this.#publish());
  }

  close(): void {
    this.#planned?.();
  }

  #publish(): void {
    this.#planned = undefined;
    const value = { connected: this.#connected(), changes: this.#changes, more: this.#more };
    this.#changes = [];
    this.#more = 0;
    this.#hub.publish('presence', value);
  }
}
