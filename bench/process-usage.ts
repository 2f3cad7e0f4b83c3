/**
 * Reads the CPU time and the resident memory of a process from /proc.
 *
 * @module
 */
import { readdirSync, readFileSync } from 'node:fs';

/** CPU time of all threads that live, user and system, in µs. */
export function cpuMicroseconds(pid: number): number {
  let total = 0;
  for (const us of threadMicroseconds(pid).values()) total += us;
  return total;
}

/** CPU time of each thread, in µs, by the id of the thread; the main thread has the id of the process. */
export function threadMicroseconds(pid: number): ReadonlyMap<number, number> {
  const threads = new Map<number, number>();
  for (const id of readdirSync(`/proc/${pid}/task`)) {
    try {
      // The time on the CPU in ns, the time of waiting for one, the number of time slices.
      const [ns] = readFileSync(`/proc/${pid}/task/${id}/schedstat`, 'utf8').split(' ');
      threads.set(Number(id), Number(ns) / 1000);
    } catch {
      // The thread ended between the two calls.
    }
  }
  return threads;
}

/** Resident memory in bytes. */
export function residentBytes(pid: number): number {
  const [, pages] = readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ');
  return Number(pages) * 4096;
}
