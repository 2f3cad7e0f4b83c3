/**
 * A writing thread whose disk is full, starting with the third transaction.
 *
 * @module
 */
import { parentPort, workerData } from 'node:worker_threads';
import { serveStore } from '../../broker/store/serve-store.ts';

let commits = 0;

if (parentPort !== null) {
  serveStore(parentPort, workerData, {
    beforeCommit() {
      if (++commits > 2) throw new Error('database or disk is full');
    },
  });
}
