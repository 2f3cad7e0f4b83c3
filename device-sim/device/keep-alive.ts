/**
 * Keep-alive of all light links of a process, with one timer: a timer per connection would cost
 * memory and wake-ups for each of tens of thousands of devices.
 *
 * @module
 */

/** A link that sends its PINGREQ when it is due. */
interface KeptAlive {
  tick(nowMs: number): void;
}

const tickMs = 500;

class KeepAliveTimer {
  readonly #links = new Set<KeptAlive>();
  #timer: NodeJS.Timeout | undefined;

  /** Calls `tick` of the link twice a second until it is removed. */
  add(link: KeptAlive): void {
    this.#links.add(link);
    this.#timer ??= setInterval(() => this.#tick(), tickMs).unref();
  }

  remove(link: KeptAlive): void {
    this.#links.delete(link);
  }

  #tick(): void {
    const nowMs = performance.now();
    for (const link of this.#links) link.tick(nowMs);
    if (this.#links.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

/** Shared by all links of the process. */
export const keepAliveTimer = new KeepAliveTimer();
