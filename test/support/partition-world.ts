/**
 * Session layers of several partitions in one process, with links in memory between them.
 *
 * @module
 */
import type { ExecutionContext } from 'ava';
import type { SessionStore } from '../../broker/store/session-store.ts';
import { startWorld, type World, type WorldOptions } from './session-world.ts';
import { until } from './until.ts';
import { wirePair, type PairedWire } from './wire-pair.ts';

/** The two streams between two partitions, at the end of the first one. */
interface Link {
  readonly data: PairedWire;
  readonly interest: PairedWire;
}

export class PartitionWorld {
  readonly names: readonly string[];
  readonly worlds: World[] = [];
  readonly #t: ExecutionContext;
  readonly #options: WorldOptions;
  readonly #links = new Map<string, Link>();

  constructor(t: ExecutionContext, count: number, options: WorldOptions) {
    this.#t = t;
    this.#options = options;
    this.names = Array.from({ length: count }, (_, index) => `p${index}`);
  }

  /** A partition. */
  at(index: number): World {
    const world = this.worlds[index];
    if (world === undefined) throw new Error(`there is no partition ${index}`);
    return world;
  }

  /** Starts a partition, again if it was closed. It has no links. */
  async start(index: number, store?: SessionStore): Promise<World> {
    const own = this.names[index] ?? '';
    const world = await startWorld(this.#t, {
      ...this.#options,
      partition: { own, names: this.names },
      ...(store === undefined ? {} : { store }),
    });
    this.worlds[index] = world;
    return world;
  }

  /** Makes a link between two partitions. It replaces an earlier one. */
  link(one: number, two: number): Link {
    if (one > two) return this.link(two, one);
    const [first, second] = [this.at(one), this.at(two)];
    const turns = [first.layer.scheduler, second.layer.scheduler] as const;
    const data = wirePair(turns);
    const interest = wirePair(turns);
    first.layer.peers?.connect(this.names[two] ?? '', data[0], interest[0]);
    second.layer.peers?.connect(this.names[one] ?? '', data[1], interest[1]);
    const link = { data: data[0], interest: interest[0] };
    this.#links.set(`${one} ${two}`, link);
    return link;
  }

  linkOf(one: number, two: number): Link {
    const link = this.#links.get(one < two ? `${one} ${two}` : `${two} ${one}`);
    if (link === undefined) throw new Error(`there is no link ${one} ${two}`);
    return link;
  }

  /** Cuts a link without notice. */
  cut(one: number, two: number): void {
    this.linkOf(one, two).data.destroy();
  }

  /** Makes all links. */
  async linkAll(): Promise<void> {
    for (let one = 0; one < this.names.length; one++) {
      for (let two = one + 1; two < this.names.length; two++) this.link(one, two);
    }
    await this.synced();
  }

  /** Waits until all partitions are linked. */
  async synced(): Promise<void> {
    const others = this.names.length - 1;
    await until('all partitions are linked', () =>
      this.worlds.every(({ layer }) => layer.peers?.connected.length === others),
    );
  }
}

/** Starts partitions with links between all of them. */
export async function startPartitions(
  t: ExecutionContext,
  count: number,
  options: WorldOptions & { readonly stores?: readonly SessionStore[] } = {},
): Promise<PartitionWorld> {
  const { stores, ...rest } = options;
  const world = new PartitionWorld(t, count, rest);
  for (let index = 0; index < count; index++) await world.start(index, stores?.[index]);
  await world.linkAll();
  return world;
}
