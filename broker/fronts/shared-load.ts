/**
 * How busy a front is: words that the front writes and the core reads.
 *
 * @module
 */
import type { FrontLoad } from '../contracts/front-load.ts';

const wordBytes = 4;
const words = { connections: 0, handshakes: 1, busyPermille: 2 } as const;

export const idleLoad: FrontLoad = { connections: 0, handshakes: 0, busyShare: 0 };

export function loadMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(wordBytes * Object.keys(words).length);
}

export function writeLoad(memory: SharedArrayBuffer, load: FrontLoad): void {
  const view = new Int32Array(memory);
  Atomics.store(view, words.connections, load.connections);
  Atomics.store(view, words.handshakes, load.handshakes);
  Atomics.store(view, words.busyPermille, Math.round(load.busyShare * 1000));
}

export function readLoad(memory: SharedArrayBuffer): FrontLoad {
  const view = new Int32Array(memory);
  return {
    connections: Atomics.load(view, words.connections),
    handshakes: Atomics.load(view, words.handshakes),
    busyShare: Atomics.load(view, words.busyPermille) / 1000,
  };
}
