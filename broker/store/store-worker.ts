/**
 * The entry point of the writing thread: runs `serveStore` on the port of a worker.
 *
 * @module
 */
import { parentPort, workerData } from 'node:worker_threads';
import { serveStore } from './serve-store.ts';

if (parentPort !== null) serveStore(parentPort, workerData);
