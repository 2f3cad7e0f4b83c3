/**
 * The entry point of the thread that reads policies.
 *
 * @module
 */
import { serveReading } from '../reading-thread.ts';
import { workOnPolicy, type PolicyTask } from './policy-work.ts';

// The seam to the messages of a thread: only PolicyReader sends them.
serveReading((task) => workOnPolicy(task as PolicyTask));
