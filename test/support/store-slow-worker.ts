/**
 * A writing thread on a slow disk: every commit takes 20 ms longer.
 *
 * @module
 */
import { parentPort, workerData } from 'node:worker_threads';
import { serveStore } from '../../broker/store/serve-store.ts';

const flag = new Int32Array(new SharedArrayBuffer(4));

if (parentPort !== null) {
  serveStore(parentPort, workerData, { beforeCommit: () => void Atomics.wait(flag, 0, 0, 20) });
}
