/**
 * A writing thread whose disk is full while a file `{store}.full` exists.
 *
 * @module
 */
import { existsSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { serveStore } from '../../broker/store/serve-store.ts';

const flag = `${String(workerData)}.full`;

if (parentPort !== null) {
  serveStore(parentPort, workerData, {
    retryMs: 20,
    beforeCommit() {
      if (!existsSync(flag)) return;
      throw Object.assign(new Error('database or disk is full'), { errcode: 13 });
    },
  });
}
