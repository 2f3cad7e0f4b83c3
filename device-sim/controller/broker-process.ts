/**
 * Finds the broker's process on this machine by the port it listens on, and reads what it uses from
 * /proc.
 *
 * @module
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import type { ProcessUsage } from '../stats/run-stats.ts';
import type { HostPort } from '../fleet/target.ts';

const ticksPerSecond = 100;

/** The process that listens on a port of this machine; undefined when it cannot be found. */
export function listeningPid({ host, port }: HostPort): number | undefined {
  if (!isThisMachine(host)) return undefined;
  const inodes = new Set<string>();
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    for (const line of read(table).split('\n').slice(1)) {
      const columns = line.trim().split(/\s+/);
      const [, local = '', , state] = columns;
      const listens = state === '0A' && Number.parseInt(local.split(':')[1] ?? '', 16) === port;
      if (listens && columns[9] !== undefined) inodes.add(`socket:[${columns[9]}]`);
    }
  }
  if (inodes.size === 0) return undefined;
  for (const name of list('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    for (const file of list(`/proc/${name}/fd`)) {
      if (inodes.has(link(`/proc/${name}/fd/${file}`))) return Number(name);
    }
  }
  return undefined;
}

/** Whether a host name or address certainly means this machine. */
export function isThisMachine(host: string): boolean {
  return /^(?:localhost$|127\.|::1$|0\.0\.0\.0$)/.test(host);
}

/** CPU time and memory of a process; undefined when it has ended or may not be read. */
export function usageOf(pid: number): ProcessUsage | undefined {
  const text = read(`/proc/${pid}/stat`);
  // The name in parentheses may contain anything; the numbers follow the last parenthesis.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const cpuTicks = Number(fields[11]) + Number(fields[12]);
  const rss = /^VmRSS:\s+(\d+) kB/m.exec(read(`/proc/${pid}/status`))?.[1];
  if (!Number.isFinite(cpuTicks) || rss === undefined) return undefined;
  return { cpuMs: (cpuTicks * 1000) / ticksPerSecond, rssBytes: Number(rss) * 1024 };
}

/** The usage of several processes together; undefined when one of them cannot be read. */
export function totalUsageOf(pids: readonly (number | undefined)[]): ProcessUsage | undefined {
  let cpuMs = 0;
  let rssBytes = 0;
  for (const pid of new Set(pids)) {
    const use = pid === undefined ? undefined : usageOf(pid);
    if (use === undefined) return undefined;
    cpuMs += use.cpuMs;
    rssBytes += use.rssBytes;
  }
  return { cpuMs, rssBytes };
}

/** The most files that a process may open; undefined when the limit cannot be read. */
export function openFilesLimitOf(pid: number): number | undefined {
  const soft = /^Max open files\s+(\d+)/m.exec(read(`/proc/${pid}/limits`))?.[1];
  return soft === undefined ? undefined : Number(soft);
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function list(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function link(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
