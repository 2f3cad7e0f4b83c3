/**
 * The memory and the start of a broker's store with many retained messages on deep topics.
 *
 *     node bench/retained-bench.ts [messages] [file]
 *
 * Fills a durable store, then opens it in a new process and prints its memory and the time of its start.
 * An existing file is used as it is.
 *
 * @module
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openDurableStore } from '../broker/store/durable-store.ts';
import type { SessionStore, StoreLimits } from '../broker/store/session-store.ts';
import { systemClock } from '../core/clock.ts';

const levelsMax = 32;
const payload = Buffer.alloc(100, 'x');
const batchMessages = 10_000;
const mib = 1024 * 1024;

const limits: StoreLimits = {
  queuedMaxMessages: 1000,
  queuedMaxBytes: mib,
  queuedPerOwnerMaxMessages: 1000,
  queuedPerOwnerMaxBytes: mib,
  retainedMax: 10_000_000,
  retainedMaxBytes: 8192 * mib,
  pendingMaxBytes: 32 * mib,
};

/** 32 levels, 70 to 76 characters, as a device of the default policy can publish on. */
function topicOf(index: number): string {
  const own = `devices/d1/${index}`.split('/');
  return [...own, ...Array.from({ length: levelsMax - own.length }, () => 'a')].join('/');
}

function committed(store: SessionStore): Promise<void> {
  return new Promise((resolve, reject) => {
    store.afterCommit((error) => (error === undefined ? resolve() : reject(error)));
  });
}

async function fill(path: string, messages: number): Promise<void> {
  const store = await openDurableStore({ path, limits, clock: systemClock });
  await store.load();
  for (let index = 0; index < messages; index++) {
    store.putRetained({
      topic: topicOf(index),
      payload,
      qos: 1,
      retain: true,
      properties: undefined,
      expiresAtMs: undefined,
      createdAtMs: Date.now(),
      publisher: 'd1',
    });
    if (index % batchMessages === 0) await committed(store);
  }
  await committed(store);
  await store.close();
}

async function measure(path: string): Promise<void> {
  const startMs = performance.now();
  const cpu = process.cpuUsage();
  const store = await openDurableStore({ path, limits, clock: systemClock });
  await store.load();
  const { user, system } = process.cpuUsage(cpu);
  const startedMs = performance.now() - startMs;
  const { rss, heapUsed, arrayBuffers } = process.memoryUsage();
  const { retainedMessages, retainedBytes } = store.statistics;
  const report = {
    retainedMessages,
    countedMib: Math.round(retainedBytes / mib),
    startMs: Math.round(startedMs),
    startCpuMs: Math.round((user + system) / 1000),
    rssMib: Math.round(rss / mib),
    heapMib: Math.round(heapUsed / mib),
    arrayBuffersMib: Math.round(arrayBuffers / mib),
  };
  process.stdout.write(`${JSON.stringify(report)}\n`);
  await store.close();
}

const [messages = '1000000', file, mode] = process.argv.slice(2);
if (mode === 'measure' && file !== undefined) {
  await measure(file);
} else {
  const folder = file === undefined ? mkdtempSync(join(tmpdir(), 'retained-')) : undefined;
  const path = file ?? join(folder ?? '', 'store.sqlite');
  if (!existsSync(path)) await fill(path, Number(messages));
  const script = fileURLToPath(import.meta.url);
  process.stdout.write(execFileSync(process.execPath, [script, messages, path, 'measure']));
  if (folder !== undefined) rmSync(folder, { recursive: true });
}
