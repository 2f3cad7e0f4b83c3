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
function threadMicroseconds(pid: number): ReadonlyMap<number, number> {
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

/** CPU times in µs: of the main thread, of the fronts of Flotilla, and of all other threads. */
export interface ThreadTimes {
  readonly core: number;
  readonly fronts: number;
  readonly others: number;
}

export function threadTimes(pid: number): ThreadTimes {
  const times = { core: 0, fronts: 0, others: 0 };
  for (const [id, us] of threadMicroseconds(pid)) {
    const part = id === pid ? 'core' : nameOf(pid, id).startsWith('front-') ? 'fronts' : 'others';
    times[part] += us;
  }
  return times;
}

function nameOf(pid: number, thread: number): string {
  try {
    return readFileSync(`/proc/${pid}/task/${thread}/comm`, 'utf8').trim();
  } catch {
    return '';
  }
}

/** Resident memory in bytes. */
export function residentBytes(pid: number): number {
  const [, pages] = readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ');
  return Number(pages) * 4096;
}
