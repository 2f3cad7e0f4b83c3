/**
 * The topics of one connection: those that it published to before, and its topic aliases. Their memory has a
 * limit for all connections and a share for an identity.
 *
 * A device uses the same few names all the time, so their bytes are compared instead of being decoded,
 * checked, authorized and routed again.
 *
 * @module
 */
import type { Route } from '../../routing/topic-route.ts';
import type { Amount, OwnerShare, SharedRoom } from '../../store/shared-room.ts';
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
/** The memory of a cached topic without its name: its object and a buffer. */
const cachedOverheadBytes = 500;
/** That of an alias. */
const aliasOverheadBytes = 64;

export class TopicCache {
  readonly #room: SharedRoom;
  readonly #share: OwnerShare;
  readonly #slots: (CachedTopic | undefined)[] = [];
  #aliases: (string | undefined)[] | undefined = undefined;

  constructor(room: SharedRoom, share: OwnerShare) {
    this.#room = room;
    this.#share = share;
  }

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

  /** Keeps a topic, if there is room. */
  add(topic: CachedTopic): void {
    const { bytes } = topic;
    const slot = slotOf(bytes, 0, bytes.length);
    while (this.#slots.length <= slot) this.#slots.push(undefined);
    this.#remove(this.#slots[slot]);
    const amount = amountOf(topic);
    const fits = this.#room.refusal(this.#share, amount) === undefined;
    this.#slots[slot] = fits ? topic : undefined;
    if (fits) this.#room.add(this.#share.id, amount);
  }

  /** The topic that an alias stands for; undefined if it is not set. */
  alias(alias: number): string | undefined {
    return this.#aliases?.[alias];
  }

  /** @returns false if there is no room */
  setAlias(alias: number, topic: string): boolean {
    const before = this.#aliases?.[alias];
    if (before === topic) return true;
    if (before !== undefined) this.#room.remove(this.#share.id, aliasAmount(before));
    const fits = this.#room.refusal(this.#share, aliasAmount(topic)) === undefined;
    (this.#aliases ??= [])[alias] = fits ? topic : undefined;
    if (fits) this.#room.add(this.#share.id, aliasAmount(topic));
    return fits;
  }

  /** Forgets the cached topics: what the policy decided about them may have changed. */
  forget(): void {
    for (const topic of this.#slots) this.#remove(topic);
    this.#slots.length = 0;
  }

  /** The connection is closed. */
  release(): void {
    this.forget();
    for (const topic of this.#aliases ?? []) {
      if (topic !== undefined) this.#room.remove(this.#share.id, aliasAmount(topic));
    }
    this.#aliases = undefined;
  }

  #remove(topic: CachedTopic | undefined): void {
    if (topic !== undefined) this.#room.remove(this.#share.id, amountOf(topic));
  }
}

function amountOf({ bytes }: CachedTopic): Amount {
  return { entries: 1, bytes: cachedOverheadBytes + 2 * bytes.length };
}

function aliasAmount(topic: string): Amount {
  return { entries: 1, bytes: aliasOverheadBytes + topic.length };
}

function slotOf(bytes: Buffer, start: number, end: number): number {
  const last = bytes[end - 1] ?? 0;
  const secondLast = bytes[end - 2] ?? 0;
  return (end - start + last * 7 + secondLast * 3) % slotCount;
}
