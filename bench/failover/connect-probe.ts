/**
 * Connects again and again to the brokers in turn, to measure how long no client could.
 *
 * @module
 */
import { setTimeout as pause } from 'node:timers/promises';
import { ExactClient, type ExactClientOptions } from '../kill/exact-client.ts';
import type { LoadTarget } from '../load/load-client.ts';

const betweenMs = 5;

export class ConnectProbe {
  readonly #options: ExactClientOptions;
  readonly #targets: readonly LoadTarget[];
  #isClosed = false;
  #successAtMs = performance.now();
  #longestMs = 0;
  readonly #loop: Promise<void>;

  constructor(options: ExactClientOptions, targets: readonly LoadTarget[]) {
    this.#options = options;
    this.#targets = targets;
    this.#loop = this.#try();
  }

  /** @returns the longest time between two connections that succeeded, in ms */
  async close(): Promise<number> {
    this.#isClosed = true;
    await this.#loop;
    return this.#longestMs;
  }

  async #try(): Promise<void> {
    while (!this.#isClosed) {
      for (const target of this.#targets) {
        const client = new ExactClient(this.#options);
        const connected = await client.connect(target).then(
          () => true,
          () => false,
        );
        client.drop();
        if (!connected) continue;
        const nowMs = performance.now();
        this.#longestMs = Math.max(this.#longestMs, nowMs - this.#successAtMs);
        this.#successAtMs = nowMs;
      }
      await pause(betweenMs);
    }
  }
}
