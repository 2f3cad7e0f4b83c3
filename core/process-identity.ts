/**
 * Distinguishes a running process from an earlier one that had the same process id: by the boot of the
 * machine, the PID namespace (each container has its own) and the time at which the process started.
 *
 * @module
 */
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';

export interface ProcessIdentity {
  readonly pid: number;
  /** The kernel's id of the current boot, or the host name where there is none. */
  readonly boot: string;
  /** The PID namespace; empty outside Linux. */
  readonly namespace: string;
  /** When the process started, in ticks since the boot; empty outside Linux. */
  readonly started: string;
}

/** What can be known about the process that a record names. */
export type ProcessState = 'running' | 'ended' | 'unknown';

/** The questions to the kernel. Tests replace them. */
export interface ProcessTable {
  readonly self: ProcessIdentity;
  stateOf(identity: ProcessIdentity): ProcessState;
}

export const systemProcesses: ProcessTable = {
  get self() {
    return {
      pid: process.pid,
      boot: bootId(),
      namespace: pidNamespace(),
      started: startOf(process.pid) ?? '',
    };
  },
  stateOf({ pid, boot, namespace, started }) {
    // The kernel knows only the processes of this boot, and those of this namespace by these ids.
    if (boot !== bootId() || namespace !== pidNamespace()) return 'unknown';
    if (namespace === '' || started === '') return exists(pid) ? 'unknown' : 'ended';
    return startOf(pid) === started ? 'running' : 'ended';
  },
};

function bootId(): string {
  return textOf('/proc/sys/kernel/random/boot_id')?.trim() ?? hostname();
}

function pidNamespace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch {
    return '';
  }
}

/** The start time of a process; undefined when there is none, or it ended and its parent did not collect it yet. */
function startOf(pid: number): string | undefined {
  const stat = textOf(`/proc/${pid}/stat`);
  // The fields after the name, which may contain spaces and parentheses itself: state is the 3rd field,
  // the start time the 22nd.
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ') ?? [];
  return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return undefined;
  }
}
