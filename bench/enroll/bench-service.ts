/**
 * Starts the enrollment service for a measurement, fills its registry, and reads what it used.
 *
 * @module
 */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { systemClock } from '../../core/clock.ts';
import { checkConfig } from '../../core/config/config.ts';
import { parseDeviceId } from '../../core/device-id.ts';
import { silentLog } from '../../core/log.ts';
import { identityFiles, type StateFolder } from '../../core/state-folder.ts';
import { openLowdbRegistry } from '../../enroll/registry/lowdb-registry.ts';
import type { DeviceRecord } from '../../enroll/registry/records.ts';
import type { Put, Registry } from '../../enroll/registry/registry.ts';
import { cpuMicroseconds, residentBytes } from '../process-usage.ts';

/** All clients of the benchmark share one address. */
export const benchConfig = checkConfig({
  enroll: { port: 0, metricsPort: 0, crlValidity: '1m' },
  limits: {
    enroll: {
      requestsPerAddressPerSecond: 1_000_000,
      signaturesPerSecond: 1_000_000,
      connectionsPerAddressMax: 20_000,
      connectionsMax: 20_000,
    },
  },
});

export interface BenchService {
  readonly child: ChildProcess;
  readonly url: string;
  readonly startMs: number;
  readonly admin: { readonly ca: string; readonly cert: string; readonly key: string };
}

export async function startService(state: StateFolder): Promise<BenchService> {
  const child = fork(new URL('./enroll-process.ts', import.meta.url), [state.root]);
  const [ready] = (await once(child, 'message')) as [{ url: string; startMs: number }];
  const files = identityFiles(state.admin);
  const [ca = '', cert = '', key = ''] = await Promise.all(
    [files.ca, files.chain, files.key].map((path) => readFile(path, 'utf8')),
  );
  return { child, ...ready, admin: { ca, cert, key } };
}

export async function stopService({ child }: BenchService): Promise<void> {
  child.send('stop');
  await once(child, 'exit');
}

/** Registers devices with one certificate each, directly in the registry. */
export async function seedDevices(state: StateFolder, count: number): Promise<void> {
  const registry = await openRegistry(state);
  const nowMs = Date.now();
  let puts: Put[] = [];
  for (let at = 0; at < count; at++) {
    const record = seededDevice(at, nowMs);
    if ((await registry.get('devices', record.id)) !== undefined) continue;
    puts.push({ table: 'devices', expected: 0, record });
    if (puts.length < 1000) continue;
    await registry.commit({ puts });
    puts = [];
  }
  await registry.commit({ puts });
  await registry.close();
}

/** The id of a seeded device, by its number from 0. */
export function seededId(number: number): string {
  return `seed-${String(number).padStart(7, '0')}`;
}

export function openRegistry(state: StateFolder): Promise<Registry> {
  return openLowdbRegistry(state.enroll.registry, {
    clock: systemClock,
    log: silentLog,
    sink: () => Promise.resolve(),
  });
}

/** Resident memory of the service, as text. */
export function serviceMemoryText({ child }: BenchService): string {
  return `${Math.round(residentBytes(child.pid ?? 0) / 1_048_576)} MiB`;
}

/** CPU time of the service so far, in ms. */
export function cpuMs({ child }: BenchService): number {
  return cpuMicroseconds(child.pid ?? 0) / 1000;
}

/** Median, 99th percentile and maximum of some times, as text. */
export function spread(timesMs: readonly number[]): string {
  const sorted = timesMs.toSorted((one, other) => one - other);
  const at = (part: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
  return `p50 ${millisecondsText(at(0.5))}, p99 ${millisecondsText(at(0.99))}, max ${millisecondsText(at(1))}`;
}

export function millisecondsText(value: number): string {
  return `${value.toFixed(value < 10 ? 2 : 0)} ms`;
}

function seededDevice(number: number, nowMs: number): DeviceRecord {
  const hex = number.toString(16).padStart(64, '0');
  return {
    id: parseDeviceId(seededId(number)),
    role: 'device',
    status: 'active',
    group: `group-${number % 100}`,
    attributes: { site: `site-${number % 1000}`, model: 'm1' },
    profile: 'default',
    createdAtMs: nowMs,
    certificates: [
      {
        serial: `40${hex.slice(34)}`,
        fingerprint: `sha256:${hex}`,
        keyFingerprint: `sha256:${hex}`,
        key: 'MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE'.padEnd(124, 'A'),
        issuer: `sha256:${'0'.repeat(64)}`,
        notBeforeMs: nowMs,
        notAfterMs: nowMs + 3e10 + number,
        status: 'active',
      },
    ],
  };
}
