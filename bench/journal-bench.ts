/**
 * `node bench/journal-bench.ts --database postgres://…`: stores messages with the journal in an empty database, and
 * measures the start from the journal, a checkpoint, and the start from the checkpoint. Options: `--messages N` (default
 * 50000, of 100 bytes), `--sessions N` (default 50).
 *
 * @module
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type {
  JournalFacts,
  JournalNotice,
  JournalThreadData,
} from '../broker/journal/journal-thread.ts';
import { openDurableStore } from '../broker/store/durable-store.ts';
import type { SessionStore } from '../broker/store/session-store.ts';
import { systemClock } from '../core/clock.ts';
import { parseDatabaseUrl } from '../core/config/database-url.ts';

const { values } = parseArgs({
  options: {
    database: { type: 'string', default: '' },
    messages: { type: 'string', default: '50000' },
    sessions: { type: 'string', default: '50' },
  },
});
const messages = Number(values.messages);
const sessions = Number(values.sessions);
const perTurn = 20;
const never = { checkpointMs: 1e9, checkpointBytes: 1e12, frozenAfterMs: 10_000 };

let facts: JournalFacts | undefined;
const folder = await mkdtemp(join(tmpdir(), 'flotilla-journal-bench-'));

async function open(times: typeof never, abandon?: AbortSignal): Promise<SessionStore> {
  facts = undefined;
  const workerData: JournalThreadData = {
    ...{ path: join(folder, 'index.sqlite'), times, instance: 'bench', roots: [], waits: true },
    access: { address: parseDatabaseUrl(values.database), password: undefined, ca: undefined },
  };
  return openDurableStore({
    path: workerData.path,
    limits: {
      ...{ queuedMaxMessages: 1e9, queuedMaxBytes: 1e12, retainedMax: 1e6, retainedMaxBytes: 1e12 },
      ...{
        queuedPerOwnerMaxMessages: 1e9,
        queuedPerOwnerMaxBytes: 1e12,
        pendingMaxBytes: 33_554_432,
      },
    },
    clock: systemClock,
    worker: new URL('../broker/journal/journal-worker.ts', import.meta.url),
    workerData,
    abandon,
    noticed(notice) {
      const message = notice as JournalNotice;
      if (message.type === 'facts') ({ facts } = message);
    },
  });
}

/** Runs something; returns its wall-clock and CPU time (all threads of this process), in ms. */
async function timed<T>(run: () => Promise<T>): Promise<{ result: T; ms: number; cpuMs: number }> {
  const startMs = performance.now();
  const before = process.cpuUsage();
  const result = await run();
  const { user, system } = process.cpuUsage(before);
  return {
    result,
    ms: Math.round(performance.now() - startMs),
    cpuMs: Math.round((user + system) / 1000),
  };
}

async function fill(store: SessionStore): Promise<void> {
  for (let id = 0; id < sessions; id++) {
    store.putSession({
      ...{ clientId: `client-${id}`, identityId: `client-${id}`, identityCreatedAtMs: 0 },
      ...{ protocolVersion: 4, expirySeconds: 3600, disconnectedAtMs: undefined },
    });
  }
  for (let count = 0; count < messages;) {
    for (let one = 0; one < perTurn && count < messages; one++, count++) {
      store.enqueue(`client-${count % sessions}`, {
        message: {
          ...{ topic: `devices/device-${count % 1000}/telemetry`, payload: Buffer.alloc(100, 'x') },
          ...{ qos: 1, retain: false, properties: undefined, expiresAtMs: undefined },
          ...{ createdAtMs: 0, publisher: 'publisher' },
        },
        ...{ qos: 1, retain: false, identifiers: [] },
      });
    }
    await new Promise<void>((resolve) => {
      if (store.congested) store.afterCommit(() => resolve());
      else setImmediate(resolve);
    });
  }
  await new Promise<void>((resolve) => store.afterCommit(() => resolve()));
}

try {
  const crash = new AbortController();
  const first = await open(never, crash.signal);
  await first.load();
  const filled = await timed(() => fill(first));
  const { transactions } = first.statistics;
  // Ends without a last checkpoint, as a kill does: the connection is released with the thread.
  crash.abort();
  await first.close();
  const fromJournal = await timed(() => open({ ...never, checkpointMs: 100 }));
  const appended = facts?.journalBytes;
  const checkpointed = await timed(async () => {
    while ((facts?.checkpointMs ?? 0) === 0)
      await new Promise((resolve) => setTimeout(resolve, 20));
  });
  const { checkpointMs, checkpointRows } = facts ?? {};
  await fromJournal.result.close();
  const fromCheckpoint = await timed(() => open(never));
  await fromCheckpoint.result.close();
  const report = {
    ...{ messages, sessions, journalRows: transactions, journalBytes: appended },
    fill: { ms: filled.ms, cpuMs: filled.cpuMs },
    startFromJournal: { ms: fromJournal.ms, cpuMs: fromJournal.cpuMs },
    checkpoint: {
      ms: Math.round(checkpointMs ?? 0),
      rows: checkpointRows,
      cpuMs: checkpointed.cpuMs,
    },
    startFromCheckpoint: { ms: fromCheckpoint.ms, cpuMs: fromCheckpoint.cpuMs },
  };
  process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
} finally {
  await rm(folder, { recursive: true, force: true });
}
