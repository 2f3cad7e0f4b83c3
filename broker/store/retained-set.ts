/**
 * The retained messages of a store, without expired ones. Their room is shared fairly between the
 * identities that published them. The messages of the broker itself (`$fleet/…`) have room of their own,
 * as large as that of all clients, so that no client can displace them.
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';
import { TopicTree, type TopicEntry } from '../../core/topic-tree.ts';
import { forEachInTurns } from '../../core/work-turns.ts';
import { retainedBytes, RetainedRecords, type RetainedName } from './retained-records.ts';
import type { RetainRefusal, StoredMessage, StoreLimits } from './session-store.ts';
import { SharedRoom, type Amount, type OwnerShare, type RoomRefusal } from './shared-room.ts';

/** How many nodes one rejected message examines to find expired messages. */
const sweepSteps = 1000;
/** The pause between two such searches, in ms. */
const sweepPauseMs = 10;
/** The memory of a node of the tree that has no message of its own: the node, and the map of its children. */
const innerNodeBytes = 256;
const reasons: Readonly<Record<RoomRefusal, RetainRefusal>> = {
  'share-used': 'retained-share-full',
  'room-full': 'retained-full',
};

export class RetainedSet {
  readonly #tree = new TopicTree<RetainedName>();
  readonly #records = new RetainedRecords();
  readonly #clients: SharedRoom;
  readonly #system: SharedRoom;
  readonly #clock: Clock;
  readonly #removed: (topic: string) => void;
  /** Expired messages that a lookup found. They are removed by the next mutation. */
  readonly #expired = new Set<string>();
  #sweep: Generator<TopicEntry<RetainedName> | undefined, void, undefined> | undefined;
  #sweptAtMs = 0;
  #innerNodes = 0;
  /** Deleted identities whose messages the next walk removes, with the time of the deletion. */
  #deleted = new Map<string, number>();
  #deleting: Promise<void> | undefined;
  #isStopped = false;

  /** @param removed called for each topic whose message was removed because it expired or its owner was deleted */
  constructor(limits: StoreLimits, clock: Clock, removed: (topic: string) => void) {
    const room = { max: limits.retainedMax, maxBytes: limits.retainedMaxBytes };
    this.#clients = new SharedRoom(room);
    this.#system = new SharedRoom(room);
    this.#clock = clock;
    this.#removed = removed;
  }

  get count(): number {
    return this.#tree.size;
  }

  /** The memory that the messages need, approximately. */
  get bytes(): number {
    return this.#clients.bytes + this.#system.bytes;
  }

  /**
   * Retains a message.
   *
   * @param share the identity that published it, and its share; undefined: none
   * @returns why it exceeds a limit; undefined if it is retained
   */
  set(message: StoredMessage, share: OwnerShare | undefined): RetainRefusal | undefined {
    const refusal = this.refusal(message, share);
    if (refusal === undefined) this.#put(message, share?.id);
    return refusal;
  }

  /** Why {@link set} would not retain a message; undefined if it would. */
  refusal(message: StoredMessage, share: OwnerShare | undefined): RetainRefusal | undefined {
    this.#removeExpired();
    if (this.#refusal(message, share) === undefined) return undefined;
    this.#sweepSome();
    const refusal = this.#refusal(message, share);
    return refusal === undefined ? undefined : reasons[refusal];
  }

  /** Retains a message within any limits, of an earlier run or of another partition: what was acknowledged is kept. */
  restore(message: StoredMessage, owner: string | undefined): void {
    this.#put(message, owner);
  }

  /** @returns whether there was one */
  delete(topic: string): boolean {
    this.#removeExpired();
    return this.#remove(topic);
  }

  /**
   * Deletes the messages that an identity has published until now, in turns of the event loop. The name may
   * belong to another identity already, whose messages are younger and stay. Identities that are deleted during a
   * walk share the next one.
   */
  deleteOf(owner: string): Promise<void> {
    if (this.#clients.usedBy(owner).entries === 0) return Promise.resolve();
    this.#deleted.set(owner, this.#clock.now());
    return (this.#deleting ??= this.#deleteAll());
  }

  /** Ends the work in turns. */
  stop(): void {
    this.#isStopped = true;
  }

  async #deleteAll(): Promise<void> {
    while (this.#deleted.size > 0 && !this.#isStopped) {
      const deleted = this.#deleted;
      this.#deleted = new Map();
      await forEachInTurns(this.#tree.walkAll(), (entry) => {
        if (entry?.value !== undefined) this.#deleteIf(deleted, entry.name, entry.value);
        return !this.#isStopped;
      });
    }
    this.#deleting = undefined;
    // An unfinished walk keeps the memory of what was deleted.
    this.#sweep = undefined;
  }

  #deleteIf(deleted: ReadonlyMap<string, number>, topic: string, record: RetainedName): void {
    const untilMs = deleted.get(this.#records.owner(record) ?? '');
    if (untilMs === undefined || this.#records.createdAtMs(record) > untilMs) return;
    if (this.#remove(topic)) this.#removed(topic);
  }

  *match(filter: string): Generator<StoredMessage, void, undefined> {
    for (const message of this.walk(filter)) if (message !== undefined) yield message;
  }

  /** Visits in steps, so that the caller can pause between them; see `TopicTree.walk`. */
  *walk(filter: string): Generator<StoredMessage | undefined, void, undefined> {
    for (const entry of this.#tree.walkEntries(filter)) {
      if (entry?.value === undefined) {
        yield undefined;
        continue;
      }
      const { name: topic, value } = entry;
      if (this.#hasExpired(value)) {
        this.#expired.add(topic);
        yield undefined;
      } else yield this.#records.message(value, topic);
    }
  }

  #refusal(message: StoredMessage, share: OwnerShare | undefined): RoomRefusal | undefined {
    const { topic, payload, properties } = message;
    const added: Amount = {
      entries: 1,
      bytes: retainedBytes(topic, payload.length, properties?.length),
    };
    const before = this.#tree.get(topic);
    if (before === undefined) return this.#roomOf(topic).refusal(share, added);
    const replaced: Amount = {
      entries: 0,
      bytes: added.bytes - this.#records.bytes(before, topic),
    };
    const isOwn = this.#records.owner(before) === share?.id;
    return this.#roomOf(topic).refusal(share, replaced, isOwn ? replaced : added);
  }

  #put(message: StoredMessage, owner: string | undefined): void {
    const { topic, payload, properties } = message;
    const room = this.#roomOf(topic);
    room.add(owner, {
      entries: 1,
      bytes: retainedBytes(topic, payload.length, properties?.length),
    });
    const before = this.#tree.set(topic, this.#records.add(message, owner));
    if (before !== undefined) this.#forget(topic, before);
    this.#countInnerNodes(room);
    this.#expired.delete(topic);
  }

  #remove(topic: string): boolean {
    const name = this.#tree.delete(topic);
    if (name === undefined) return false;
    this.#forget(topic, name);
    this.#countInnerNodes(this.#roomOf(topic));
    return true;
  }

  /** Removes the record of a message, and takes it out of its room. */
  #forget(topic: string, name: RetainedName): void {
    const bytes = this.#records.bytes(name, topic);
    this.#roomOf(topic).remove(this.#records.owner(name), { entries: 1, bytes });
    this.#records.remove(name);
  }

  #hasExpired(name: RetainedName): boolean {
    const expiresAtMs = this.#records.expiresAtMs(name);
    return expiresAtMs !== undefined && expiresAtMs <= this.#clock.now();
  }

  /** Counts the nodes that a mutation added or removed. They belong to nobody: many messages share them. */
  #countInnerNodes(room: SharedRoom): void {
    const innerNodes = this.#tree.nodes - this.#tree.size;
    if (innerNodes === this.#innerNodes) return;
    const bytes = (innerNodes - this.#innerNodes) * innerNodeBytes;
    this.#innerNodes = innerNodes;
    room.add(undefined, { entries: 0, bytes });
  }

  #roomOf(topic: string): SharedRoom {
    return topic.startsWith('$fleet/') ? this.#system : this.#clients;
  }

  #removeExpired(): void {
    if (this.#expired.size === 0) return;
    for (const topic of this.#expired) {
      if (this.#remove(topic)) this.#removed(topic);
    }
    this.#expired.clear();
  }

  /** Looks for expired messages in a part of the tree. The next call continues there. */
  #sweepSome(): void {
    const nowMs = this.#clock.now();
    if (Math.abs(nowMs - this.#sweptAtMs) < sweepPauseMs) return;
    this.#sweptAtMs = nowMs;
    this.#sweep ??= this.#tree.walkAll();
    for (let step = 0; step < sweepSteps; step++) {
      const next = this.#sweep.next();
      if (next.done === true) {
        this.#sweep = undefined;
        break;
      }
      const entry = next.value;
      if (entry?.value !== undefined && this.#hasExpired(entry.value)) {
        this.#expired.add(entry.name);
      }
    }
    this.#removeExpired();
  }
}
