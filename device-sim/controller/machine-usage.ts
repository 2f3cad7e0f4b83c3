/**
 * Reads how busy this machine is. When other processes use its CPU, a run measures the machine and not
 * the broker.
 *
 * @module
 */
import { readFileSync } from 'node:fs';
import type { MachineUsage } from '../stats/run-stats.ts';

const ticksPerSecond = 100;

/** The usage of this machine; undefined when it cannot be read (it is only known on Linux). */
export function machineUsage(): MachineUsage | undefined {
  let text: string;
  try {
    text = readFileSync('/proc/stat', 'utf8');
  } catch {
    return undefined;
  }
  const usage = parseCpuStat(text);
  if (usage === undefined) return undefined;
  const { user, system } = process.cpuUsage();
  return { ...usage, controllerMs: (user + system) / 1000 };
}

/** Parses /proc/stat (proc_stat(5)): busy time of all cores, including time stolen by a hypervisor. */
export function parseCpuStat(text: string): { cores: number; busyMs: number } | undefined {
  const total = /^cpu +(\S.*)$/m.exec(text)?.[1]?.split(' ').map(Number);
  const cores = text.match(/^cpu\d+ /gm)?.length ?? 0;
  if (total === undefined || cores === 0) return undefined;
  // user, nice, system, (idle, iowait,) irq, softirq, steal; guest time is part of user and nice.
  const busyTicks = [0, 1, 2, 5, 6, 7].reduce((sum, field) => sum + (total[field] ?? 0), 0);
  return Number.isFinite(busyTicks)
    ? { cores, busyMs: (busyTicks * 1000) / ticksPerSecond }
    : undefined;
}
