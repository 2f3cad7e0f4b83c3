/**
 * Two nodes with a {@link PeerLink} to each other, over a connection that the test controls, and with stores whose
 * commits the test controls. Records are numbers.
 *
 * @module
 */
import type { BatchRecord } from '../../broker/cluster/record-buffer.ts';
import { PeerLink } from '../../broker/cluster/peer-link.ts';
import type { PeerPosition } from '../../broker/cluster/batch-receiver.ts';

export type Side = 'a' | 'b';

export const otherSide = (side: Side): Side => (side === 'a' ? 'b' : 'a');

/** A message: which run of the other node sent it, its number in that run, and whether it was to be confirmed. */
export interface PairRecord {
  readonly incarnation: number;
  readonly id: number;
  readonly isNumbered: boolean;
}

/** A message that must be confirmed, as its publisher sees it. */
export interface PairPublish extends PairRecord {
  state: 'pending' | 'confirmed' | 'failed';
  /** Whether the other node had it durably when it was confirmed. */
  wasDurable: boolean;
}

type JournalItem =
  | { readonly records: readonly PairRecord[]; readonly position: PeerPosition | undefined }
  | { readonly call: () => void };

export interface PairLimits {
  readonly parkedMaxBytes: number;
  readonly inFlightMaxBytes: number;
  readonly batchMaxBytes: number;
}

export const pairRecordBytes = 16;
export const pairProbeAfterMs = 1000;

const roomyLimits: PairLimits = {
  parkedMaxBytes: 1_000_000,
  inFlightMaxBytes: 1_000_000,
  batchMaxBytes: 1_000_000,
};

/** One run after the other of one node. What is durable survives. */
export class PairNode {
  incarnation = 0;
  /** What the other node sent and this one has durably, in order. */
  readonly durable: PairRecord[] = [];
  position: PeerPosition = { incarnation: 0, number: 0 };
  /** All messages that were ever published here, which must be confirmed. */
  readonly published: PairPublish[] = [];
  /** What was sent and has not arrived. */
  outbox: Buffer[] = [];
  link: PeerLink;
  readonly #limits: PairLimits;
  readonly #peer: () => PairNode;
  readonly #now: () => number;
  #journal: JournalItem[] = [];
  #lastId = 0;

  constructor(peer: () => PairNode, now: () => number, limits: PairLimits) {
    this.#peer = peer;
    this.#now = now;
    this.#limits = limits;
    this.link = this.#open();
  }

  publish(isNumbered: boolean): PairPublish {
    const record = { incarnation: this.incarnation, id: ++this.#lastId, isNumbered };
    const published: PairPublish = { ...record, state: 'pending', wasDurable: false };
    const { sender } = this.link;
    if (!isNumbered) {
      sender.addUnnumbered(bytesOf(record));
      return published;
    }
    this.published.push(published);
    const confirmation = sender.addNumbered(bytesOf(record));
    const settle = (failed: boolean): void => {
      published.state = failed ? 'failed' : 'confirmed';
      published.wasDurable = this.#peer().has(published);
    };
    if (confirmation.isOpen) {
      confirmation.add({ onConfirmation: (_confirmation, failed) => settle(failed) });
    } else settle(true);
    return published;
  }

  has({ incarnation, id }: PairRecord): boolean {
    return this.durable.some((one) => one.incarnation === incarnation && one.id === id);
  }

  /** The store commits the oldest items. */
  commit(count = Infinity): void {
    for (let left = count; left > 0; left--) {
      const item = this.#journal.shift();
      if (item === undefined) return;
      if ('call' in item) item.call();
      else {
        this.durable.push(...item.records);
        if (item.position !== undefined) this.position = item.position;
      }
    }
  }

  /** The process ends without warning and starts again. @param lost whether its disk is empty then */
  restart(lost = false): void {
    this.#journal = [];
    if (lost) this.position = { incarnation: 0, number: 0 };
    this.link = this.#open();
    this.link.reconnected(this.#now());
  }

  #open(): PeerLink {
    const incarnation = ++this.incarnation;
    this.#lastId = 0;
    const isCurrent = (): boolean => incarnation === this.incarnation;
    return new PeerLink({
      ...this.#limits,
      incarnation,
      position: this.position,
      probeAfterMs: pairProbeAfterMs,
      send: (packet) => {
        if (isCurrent()) this.outbox.push(packet);
      },
      apply: (records, position) =>
        void this.#journal.push({ records: recordsOf(records), position }),
      afterCommit: (call) => void this.#journal.push({ call }),
    });
  }
}

export class NodePair {
  readonly a: PairNode;
  readonly b: PairNode;
  nowMs = 0;

  constructor(limits: PairLimits = roomyLimits) {
    const now = (): number => this.nowMs;
    this.a = new PairNode(() => this.b, now, limits);
    this.b = new PairNode(() => this.a, now, limits);
  }

  /** Packets from a side arrive. */
  deliver(from: Side, count = Infinity): void {
    const receiver = this[otherSide(from)];
    for (const packet of this[from].outbox.splice(0, count))
      receiver.link.receive(packet, this.nowMs);
  }

  /** The connection is interrupted: what was on the way is lost. */
  cut(): void {
    this.a.outbox = [];
    this.b.outbox = [];
    this.a.link.reconnected(this.nowMs);
    this.b.link.reconnected(this.nowMs);
  }

  /** From now on nothing is lost: all that can still arrive arrives, and is committed. */
  settle(): void {
    for (let round = 0; round < 200; round++) {
      for (const side of ['a', 'b'] as const) {
        this[side].link.flush();
        this.deliver(side);
        this[otherSide(side)].link.flush();
        this[otherSide(side)].commit();
      }
      this.nowMs += pairProbeAfterMs / 2;
      this.a.link.tick(this.nowMs);
      this.b.link.tick(this.nowMs);
    }
  }
}

function bytesOf({ isNumbered, incarnation, id }: PairRecord): BatchRecord {
  return {
    bytes: pairRecordBytes,
    copyTo(target, start) {
      target.fill(0, start, start + pairRecordBytes);
      target.writeUInt8(isNumbered ? 1 : 0, start);
      target.writeUInt32BE(incarnation, start + 1);
      target.writeUInt32BE(id, start + 5);
    },
  };
}

function recordsOf(bytes: Buffer): PairRecord[] {
  const records: PairRecord[] = [];
  for (let at = 0; at < bytes.length; at += pairRecordBytes) {
    records.push({
      isNumbered: bytes.readUInt8(at) === 1,
      incarnation: bytes.readUInt32BE(at + 1),
      id: bytes.readUInt32BE(at + 5),
    });
  }
  return records;
}
