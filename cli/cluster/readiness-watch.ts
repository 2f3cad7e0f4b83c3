/**
 * Checks often which processes of a cluster are ready.
 *
 * @module
 */
import { systemClock, type Cancel } from '../../core/clock.ts';
import type { ClusterNode } from './cluster-node.ts';
import type { InstanceState } from './instance-choice.ts';

const checkIntervalMs = 200;
/** A busy machine answers late; a process that ended is noticed without a check. */
const checkTimeoutMs = 5000;
/** After this time without an answer, other brokers have taken over what a process that hangs held. */
const silentAfterMs = 10_000;

/** What the checks of one process have shown. */
interface Observation {
  /** The address that was checked: it is another one after each start. */
  readonly url: string;
  readonly isReady: boolean;
  readonly answeredAtMs: number;
}

export class ReadinessWatch {
  readonly #changed: () => void;
  readonly #observations = new Map<string, Observation>();
  readonly #cancels = new Map<string, Cancel>();
  #isClosed = false;

  /** @param changed is called after each check */
  constructor(nodes: readonly ClusterNode[], changed: () => void) {
    this.#changed = changed;
    // Each for itself, so that a process that hangs does not delay the others.
    for (const node of nodes) this.#follow(node);
  }

  stateOf({ name, ready }: Pick<ClusterNode, 'name' | 'ready'>): InstanceState {
    const found = this.#observations.get(name);
    const observation = found?.url === ready?.metrics.url ? found : undefined;
    return {
      name,
      hasBegun: ready !== undefined,
      isReady: observation?.isReady === true,
      isSilent:
        observation !== undefined &&
        systemClock.monotonicMs() - observation.answeredAtMs > silentAfterMs,
    };
  }

  close(): void {
    this.#isClosed = true;
    for (const cancel of this.#cancels.values()) cancel();
  }

  #follow(node: ClusterNode): void {
    void this.#check(node).then(() => {
      if (this.#isClosed) return;
      this.#changed();
      const cancel = systemClock.after(checkIntervalMs, () => this.#follow(node));
      this.#cancels.set(node.name, cancel);
    });
  }

  async #check({ name, ready }: ClusterNode): Promise<void> {
    if (ready === undefined) {
      this.#observations.delete(name);
      return;
    }
    const { url } = ready.metrics;
    const startedAtMs = systemClock.monotonicMs();
    const before = this.#observations.get(name);
    const isReady = await answersReady(url);
    const lastMs = before?.url === url ? before.answeredAtMs : startedAtMs;
    this.#observations.set(name, {
      url,
      isReady: isReady === true,
      answeredAtMs: isReady === undefined ? lastMs : systemClock.monotonicMs(),
    });
  }
}

/** @returns undefined: there was no answer */
async function answersReady(url: string): Promise<boolean | undefined> {
  try {
    const answer = await fetch(new URL('/readyz', url), {
      signal: AbortSignal.timeout(checkTimeoutMs),
    });
    await answer.body?.cancel();
    return answer.ok;
  } catch {
    return undefined;
  }
}
