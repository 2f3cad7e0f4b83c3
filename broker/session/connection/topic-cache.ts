/**
 * The topics that one connection published on before: a device says the same few names for ever, so
 * their bytes are compared instead of decoded, checked, authorised and routed again.
 *
 * @module
 */
import type { Route } from '../../routing/topic-route.ts';
import type { Receiver } from '../delivery/receiver.ts';

/** One topic as this connection may use it. */
export class CachedTopic {
  readonly topic: string;
  readonly bytes: Buffer;
  /** Whether it belongs to the system (`$…`): the broker itself may want it. */
  readonly isSystem: boolean;
  route: Route<Receiver>;
  /** The policy's version for which {@link allowedBytes} holds. */
  policyVersion = -1;
  /** The largest payload that was allowed always: with any QoS and RETAIN, and if smaller; -1: none. */
  allowedBytes = -1;

  constructor(topic: string, bytes: Buffer, route: Route<Receiver>) {
    this.topic = topic;
    this.bytes = bytes;
    this.isSystem = topic.startsWith('$');
    this.route = route;
  }
}

const slots = 16;

export class TopicCache {
  readonly #slots: (CachedTopic | undefined)[] = [];

  /** The topic whose bytes stand in `bytes` from `start` to `end`, if it is known. */
  find(bytes: Buffer, start: number, end: number): CachedTopic | undefined {
    const known = this.#slots[slotOf(bytes, start, end)];
    if (known === undefined) return undefined;
    const mine = known.bytes;
    let at = end - start;
    if (mine.length !== at) return undefined;
    // From the end: names of one device differ there.
    for (let from = end - 1; at > 0; from--) if (mine[--at] !== bytes[from]) return undefined;
    return known;
  }

  add(known: CachedTopic): void {
    const { bytes } = known;
    const slot = slotOf(bytes, 0, bytes.length);
    while (this.#slots.length <= slot) this.#slots.push(undefined);
    this.#slots[slot] = known;
  }
}

function slotOf(bytes: Buffer, start: number, end: number): number {
  const last = bytes[end - 1] ?? 0;
  const before = bytes[end - 2] ?? 0;
  return (end - start + last * 7 + before * 3) % slots;
}
