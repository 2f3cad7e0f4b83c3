/**
 * Keeps the links between the partitions of this node and all others. The node that holds the partition with the lower
 * number opens the link.
 *
 * @module
 */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { Cancel, Clock } from '../../core/clock.ts';
import type { Logger } from '../../core/log.ts';
import type { Wire } from '../contracts/connection-wire.ts';
import type { PartitionPeers } from '../contracts/partition-peers.ts';
import type { NodeTransport } from './node-transport.ts';
import { partitionName } from '../../core/partition.ts';
import type { PartitionHolder } from './partition-assignment.ts';

const checkMs = 100;
/** A link that is not connected after this time is opened again, in ms. */
const attemptMs = 3000;
/** How long the first stream of a link waits for the second one, in ms. */
const halfMaxMs = 10_000;
const halvesMax = 256;

export const partitionLinkSchema = z.strictObject({
  kind: z.literal('link'),
  /** The same for both streams of a link. */
  link: z.uuid(),
  part: z.enum(['data', 'interest']),
  /** The partition of the node that opens it. */
  from: z.int().min(0).max(1000),
  /** The term of its store: an earlier holder must not replace a later one. */
  term: z.int().min(0),
  to: z.int().min(0).max(1000),
});
type LinkRequest = z.infer<typeof partitionLinkSchema>;

/** A partition of this node, as far as links are concerned. */
export interface LinkedPartition {
  readonly peers: PartitionPeers;
  readonly term: number;
}

export interface PartitionLinksDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly partitions: number;
  readonly transport: Pick<NodeTransport, 'open'>;
  /** The partitions that this node serves. */
  readonly served: ReadonlyMap<number, LinkedPartition>;
  holderOf(partition: number): PartitionHolder | undefined;
}

/** The first stream of a link that another node opens. */
interface Half {
  readonly request: LinkRequest;
  readonly wire: Wire;
  readonly cancel: Cancel;
}

export class PartitionLinks {
  readonly #deps: PartitionLinksDeps;
  readonly #halves = new Map<string, Half>();
  /** When a link was opened last, and to which holder, by its two partitions. */
  readonly #attempts = new Map<string, { readonly atMs: number; readonly term: number }>();
  /** The highest term of each partition that has opened a link. */
  readonly #terms = new Map<number, number>();
  #cancelCheck: Cancel = () => undefined;
  #isClosed = false;

  constructor(deps: PartitionLinksDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.check();
    this.#cancelCheck = this.#deps.clock.after(checkMs, () => this.start());
  }

  close(): void {
    this.#isClosed = true;
    this.#cancelCheck();
    for (const { wire, cancel } of this.#halves.values()) {
      cancel();
      wire.destroy();
    }
    this.#halves.clear();
  }

  /** Opens the links that are missing. */
  check(): void {
    if (this.#isClosed) return;
    for (const [from, { peers, term }] of this.#deps.served) {
      const connected = new Set(peers.connected);
      for (let to = from + 1; to < this.#deps.partitions; to++) {
        if (!connected.has(partitionName(to))) this.#open(from, term, to, peers);
      }
    }
  }

  /** Another node, or this one, has opened a stream of a link. */
  accept(request: LinkRequest, wire: Wire): void {
    const { clock } = this.#deps;
    const served = this.#deps.served.get(request.to);
    const { link, from, term } = request;
    if (served === undefined || from === request.to || term < (this.#terms.get(from) ?? 0)) {
      wire.destroy();
      return;
    }
    const half = this.#halves.get(link);
    if (half === undefined) {
      if (this.#halves.size >= halvesMax) {
        wire.destroy();
        return;
      }
      const cancel = clock.after(halfMaxMs, () => {
        this.#halves.delete(link);
        wire.destroy();
      });
      this.#halves.set(link, { request, wire, cancel });
      return;
    }
    half.cancel();
    this.#halves.delete(link);
    const isPair =
      half.request.part !== request.part &&
      half.request.from === from &&
      half.request.to === request.to;
    if (!isPair) {
      wire.destroy();
      half.wire.destroy();
      return;
    }
    this.#terms.set(from, term);
    const [data, interest] = request.part === 'data' ? [wire, half.wire] : [half.wire, wire];
    served.peers.connect(partitionName(from), data, interest);
  }

  #open(from: number, term: number, to: number, peers: PartitionPeers): void {
    const { clock, transport, log } = this.#deps;
    const holder = this.#deps.holderOf(to);
    if (holder === undefined) return;
    const key = `${from} ${to}`;
    const nowMs = clock.monotonicMs();
    const last = this.#attempts.get(key);
    if (last?.term === holder.term && nowMs - last.atMs < attemptMs) return;
    this.#attempts.set(key, { atMs: nowMs, term: holder.term });
    log.debug({ from, to, peer: holder.node }, 'opening a link between partitions');
    const request = { kind: 'link', link: randomUUID(), from, term, to };
    const open = (part: LinkRequest['part']): Wire =>
      transport.open(holder.address, holder.node, { ...request, part });
    peers.connect(partitionName(to), open('data'), open('interest'));
  }
}
