/**
 * Notifies a node that another one holds a partition of it now. A node that has lost the database cannot find out by itself,
 * and would keep its clients waiting for acknowledgements that it must not send any more.
 *
 * @module
 */
import { z } from 'zod';
import type { NodeTransport } from './node-transport.ts';
import type { PartitionHolder } from './partition-assignment.ts';

export const holderNoticeSchema = z.strictObject({
  kind: z.literal('held'),
  partition: z.int().min(0).max(1000),
  /** Of the store of the new holder. An earlier holder writes nothing any more. */
  term: z.int().min(0),
});

export interface HolderNoticesDeps {
  /** The name of this node. */
  readonly own: string;
  readonly partitions: number;
  readonly transport: Pick<NodeTransport, 'open'>;
  holderOf(partition: number): PartitionHolder | undefined;
  /** Whether a node gives its partitions in order, or has done so: it needs no notice. */
  isLeaving(node: string): boolean;
}

export class HolderNotices {
  readonly #deps: HolderNoticesDeps;
  /** The last holder of each partition. */
  readonly #known = new Map<number, PartitionHolder>();

  constructor(deps: HolderNoticesDeps) {
    this.#deps = deps;
  }

  /** Sends a notice to each former holder. Called when a holder may have changed. */
  check(): void {
    const { own, partitions } = this.#deps;
    for (let partition = 0; partition < partitions; partition++) {
      const holder = this.#deps.holderOf(partition);
      if (holder === undefined) continue;
      const former = this.#known.get(partition);
      this.#known.set(partition, holder);
      if (former === undefined || former.node === holder.node || former.node === own) continue;
      if (former.term >= holder.term || this.#deps.isLeaving(former.node)) continue;
      this.#notify(former, partition, holder.term);
    }
  }

  #notify({ address, node }: PartitionHolder, partition: number, term: number): void {
    // Nothing is answered, and a node that has ended needs no notice.
    this.#deps.transport.open(address, node, { kind: 'held', partition, term }).end();
  }
}
