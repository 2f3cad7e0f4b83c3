/**
 * The topics that one connection published to before. A device uses the same few names all the time, so
 * their bytes are compared instead of being decoded, checked, authorized and routed again.
 *
 * @module
 */
import type { Route } from '../../routing/topic-route.ts';
import type { Receiver } from '../delivery/receiver.ts';

/** A topic with the policy's decision and the route for one connection. */
export class CachedTopic {
  readonly topic: string;
  readonly bytes: Buffer;
  /** Whether it begins with `$`: the broker may handle the message itself. */
  readonly isSystem: boolean;
  route: Route<Receiver>;
  /** The version of the policy for which {@link allowedBytes} is valid. */
  policyVersion = -1;
  /** The largest payload that is allowed with any QoS and RETAIN, as any smaller one; -1: none. */
  allowedBytes = -1;

  constructor(topic: string, bytes: Buffer, route: Route<Receiver>) {
    this.topic = topic;
    this.bytes = bytes;
    this.isSystem = topic.startsWith('$');
    this.route = route;
  }
}

const slotCount = 16;

export class TopicCache {
  readonly #slots: (CachedTopic | undefined)[] = [];

  /** The topic whose name is in `bytes` from `start` to `end`, if it is in the cache. */
  find(bytes: Buffer, start: number, end: number): CachedTopic | undefined {
    const cached = this.#slots[slotOf(bytes, start, end)];
    if (cached === undefined) return undefined;
    const name = cached.bytes;
    let at = end - start;
    if (name.length !== at) return undefined;
    // From the end: the topic names of one device differ there.
    for (let from = end - 1; at > 0; from--) if (name[--at] !== bytes[from]) return undefined;
    return cached;
  }

  add(topic: CachedTopic): void {
    const { bytes } = topic;
    const slot = slotOf(bytes, 0, bytes.length);
    while (this.#slots.length <= slot) this.#slots.push(undefined);
    this.#slots[slot] = topic;
  }
}

function slotOf(bytes: Buffer, start: number, end: number): number {
  const last = bytes[end - 1] ?? 0;
  const secondLast = bytes[end - 2] ?? 0;
  return (end - start + last * 7 + secondLast * 3) % slotCount;
}
