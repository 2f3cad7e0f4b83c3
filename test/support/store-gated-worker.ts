/**
 * A writing thread whose disk does not respond while a file `{store}.gate` exists, so that a test
 * controls how long a flush takes.
 *
 * @module
 */
import { existsSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { serveStore } from '../../broker/store/serve-store.ts';

const flag = new Int32Array(new SharedArrayBuffer(4));
const gate = `${String(workerData)}.gate`;

if (parentPort !== null) {
  serveStore(parentPort, workerData, {
    beforeCommit() {
      while (existsSync(gate)) Atomics.wait(flag, 0, 0, 2);
    },
  });
}
