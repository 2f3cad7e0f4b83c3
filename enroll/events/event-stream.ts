/**
 * One client that follows events, as Server-Sent Events (WHATWG HTML, 9.2). A client that reads too
 * slowly loses events instead of filling the memory: an event `gap` says how many.
 *
 * @module
 */
import type { Writable } from 'node:stream';
import type { EventHub, HubEvent } from './event-hub.ts';

export interface EventStreamOptions {
  readonly wants: (event: HubEvent) => boolean;
  /** The id of the last event that the client has. */
  readonly lastEventId: string | undefined;
  /** How much may wait for the client before events are dropped. */
  readonly bufferMaxBytes: number;
}

/** How long a client waits before it connects again. */
const retryMs = 2000;

/** Sends events until the stream closes. */
export function streamEvents(hub: EventHub, out: Writable, options: EventStreamOptions): void {
  const { wants, lastEventId, bufferMaxBytes } = options;
  let dropped = 0;
  const frame = (type: string, number: number, data: string): string =>
    `id: ${hub.idOf(number)}\nevent: ${type}\ndata: ${data}\n\n`;
  const gap = (count: number | null): string =>
    frame('gap', hub.newest, JSON.stringify({ dropped: count }));
  const send = (event: HubEvent): void => {
    if (!wants(event)) return;
    if (dropped > 0 || out.writableLength > bufferMaxBytes) {
      dropped++;
      return;
    }
    out.write(frame(event.type, event.number, event.data));
  };
  out.write(`retry: ${retryMs}\n\n`);
  if (lastEventId !== undefined) {
    const { events, gap: missing } = hub.after(lastEventId);
    if (missing) out.write(gap(null));
    for (const event of events) send(event);
  }
  // A client that has no event yet learns where it is: it can continue from here.
  out.write(frame('hello', hub.newest, JSON.stringify({ run: hub.run })));
  out.on('drain', () => {
    if (dropped === 0) return;
    const count = dropped;
    dropped = 0;
    out.write(gap(count));
  });
  const stop = hub.watch(send);
  out.once('close', stop);
}
