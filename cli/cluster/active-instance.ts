/**
 * Chooses the instance behind a balancer, and checks often which one is ready.
 *
 * @module
 */
import { systemClock, type Cancel } from '../../core/clock.ts';
import type { ClusterNode } from './cluster-node.ts';

const checkIntervalMs = 200;
/** A busy machine answers late; a process that ended is noticed without a check. */
const checkTimeoutMs = 5000;

export interface InstanceState {
  readonly name: string;
  /** It reported its addresses, so that it is or was active. */
  readonly hasBegun: boolean;
  /** `/readyz` answers 200. */
  readonly isReady: boolean;
}

/**
 * The current instance stays while it is ready, or no other one is: without its database, an active instance is not ready and
 * still does what needs none.
 */
export function chooseInstance(
  current: string | undefined,
  instances: readonly InstanceState[],
): string | undefined {
  const begun = instances.filter(({ hasBegun }) => hasBegun);
  const now = begun.find(({ name }) => name === current);
  if (now?.isReady === true) return current;
  return (begun.find(({ isReady }) => isReady) ?? now ?? begun[0])?.name;
}

/** Calls `choose` with the instance for new connections, whenever that may have changed. */
export class ActiveInstance {
  readonly #nodes: readonly ClusterNode[];
  readonly #choose: (node: ClusterNode | undefined) => void;
  readonly #ready = new Map<string, string>();
  #current: string | undefined;
  #isClosed = false;
  #cancel: Cancel = () => undefined;

  constructor(nodes: readonly ClusterNode[], choose: (node: ClusterNode | undefined) => void) {
    this.#nodes = nodes;
    this.#choose = choose;
    this.#check();
  }

  /** Chooses again, because a process began or ended. */
  update(): void {
    if (this.#isClosed) return;
    this.#current = chooseInstance(
      this.#current,
      this.#nodes.map(({ name, ready }) => ({
        name,
        hasBegun: ready !== undefined,
        isReady: ready !== undefined && this.#ready.get(name) === ready.metrics.url,
      })),
    );
    this.#choose(this.#nodes.find(({ name }) => name === this.#current));
  }

  close(): void {
    this.#isClosed = true;
    this.#cancel();
  }

  #check(): void {
    void Promise.all(this.#nodes.map((node) => this.#checkNode(node))).then(() => {
      this.update();
      if (!this.#isClosed) this.#cancel = systemClock.after(checkIntervalMs, () => this.#check());
    });
  }

  async #checkNode({ name, ready }: ClusterNode): Promise<void> {
    const isReady = ready !== undefined && (await answersReady(ready.metrics.url));
    if (isReady) this.#ready.set(name, ready.metrics.url);
    else this.#ready.delete(name);
  }
}

async function answersReady(url: string): Promise<boolean> {
  try {
    const answer = await fetch(new URL('/readyz', url), {
      signal: AbortSignal.timeout(checkTimeoutMs),
    });
    await answer.body?.cancel();
    return answer.ok;
  } catch {
    return false;
  }
}
