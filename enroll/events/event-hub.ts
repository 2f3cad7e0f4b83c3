/**
 * The events that operators can follow: the latest ones are kept in memory, numbered, so that a client
 * that lost its connection continues where it was.
 *
 * @module
 */
import { randomBytes } from 'node:crypto';
import type { EventType } from '../../core/protocol/operator-api.ts';

/** How many events are kept for clients that come back. */
const keptMax = 5000;
/** The most characters of the events that are kept. */
const keptMaxChars = 16 * 1024 * 1024;

export interface HubEvent {
  readonly number: number;
  readonly type: EventType;
  /** The device that it is about, if it is about one. */
  readonly device: string | undefined;
  /** JSON. */
  readonly data: string;
}

export type EventListener = (event: HubEvent) => void;

/** What a client that continues gets first. */
export interface Resumed {
  readonly events: readonly HubEvent[];
  /** Whether events are missing between the last one that the client has and the first one here. */
  readonly gap: boolean;
}

export class EventHub {
  /** Names this run of the service: numbers of another run mean nothing here. */
  readonly run = randomBytes(4).toString('hex');
  readonly #listeners = new Set<EventListener>();
  #kept: HubEvent[] = [];
  #keptChars = 0;
  #number = 0;

  /** The number of the newest event. */
  get newest(): number {
    return this.#number;
  }

  publish(type: EventType, value: unknown, device?: string): void {
    const event = { number: ++this.#number, type, device, data: JSON.stringify(value) };
    this.#kept.push(event);
    this.#keptChars += event.data.length;
    // In steps, because removing from the front costs as much as what remains.
    if (this.#kept.length > keptMax * 1.25 || this.#keptChars > keptMaxChars * 1.25) this.#trim();
    for (const listener of this.#listeners) listener(event);
  }

  /** Calls for each event until the returned function is called. A listener must not throw. */
  watch(listener: EventListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The events after the one that a client names as its last (`{run}-{number}`). */
  after(lastEventId: string): Resumed {
    const [, run, digits] = /^([0-9a-f]{8})-(\d{1,15})$/.exec(lastEventId) ?? [];
    const number = Number(digits);
    if (run !== this.run || number > this.#number) return { events: [], gap: true };
    const oldest = this.#kept[0]?.number ?? this.#number + 1;
    return {
      events: this.#kept.filter((event) => event.number > number),
      gap: number < oldest - 1,
    };
  }

  /** The id of an event as clients know it. */
  idOf(number: number): string {
    return `${this.run}-${number}`;
  }

  #trim(): void {
    let chars = 0;
    let from = this.#kept.length;
    while (from > 0 && this.#kept.length - from < keptMax) {
      chars += this.#kept[from - 1]?.data.length ?? 0;
      if (chars > keptMaxChars) break;
      from--;
    }
    this.#kept = this.#kept.slice(from);
    this.#keptChars = this.#kept.reduce((sum, { data }) => sum + data.length, 0);
  }
}
