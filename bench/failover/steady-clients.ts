/**
 * Keeps the clients of a load connected to the active broker, as clients do behind a balancer: they connect again after
 * each loss, and leave a broker that was replaced without a word.
 *
 * @module
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { ExactClient } from '../kill/exact-client.ts';
import type { LoadTarget } from '../load/load-client.ts';

const checkMs = 10;
const betweenMs = 50;
/** A client gives up an attempt after this time. */
const attemptMaxMs = 10_000;

export class SteadyClients {
  #target: LoadTarget;
  #isClosed = false;
  readonly #loops: readonly Promise<void>[];

  /** @param clients are connected to `target` already */
  constructor(clients: readonly ExactClient[], target: LoadTarget) {
    this.#target = target;
    this.#loops = clients.map((one) => this.#keep(one));
  }

  /** All clients connect there. Their connections to the former broker stay open, so that its last words are heard. */
  moveTo(target: LoadTarget): void {
    this.#target = target;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all(this.#loops);
  }

  async #keep(client: ExactClient): Promise<void> {
    let connectedTo = this.#target;
    while (!this.#isClosed) {
      const target = this.#target;
      if (client.isReady && connectedTo === target) {
        await pause(checkMs);
        continue;
      }
      connectedTo = target;
      const attempt = client.connect(target).catch(() => undefined);
      await Promise.race([attempt, this.#giveUp(target)]);
      if (!client.isReady && target === this.#target) {
        client.drop();
        await pause(betweenMs);
      }
    }
  }

  /** Resolves when an attempt takes too long, or the clients move away from its target. */
  async #giveUp(target: LoadTarget): Promise<void> {
    const deadlineMs = performance.now() + attemptMaxMs;
    while (target === this.#target && performance.now() < deadlineMs) await pause(checkMs);
  }
}
