/**
 * The entry point of the writing thread with a journal in a database.
 *
 * @module
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { JournalThreadData } from './journal-thread.ts';
import { serveJournal } from './serve-journal.ts';

// Only the store starts this thread.
if (parentPort !== null) void serveJournal(parentPort, workerData as JournalThreadData);
