/**
 * The start and the end of the writing thread with a journal in a database: begins a term, rebuilds the local file, and
 * then handles requests until the store is closed or the term is lost.
 *
 * @module
 */
import type { DatabaseSync } from 'node:sqlite';
import type { MessagePort } from 'node:worker_threads';
import { DatabaseTerm } from '../../core/database/database-term.ts';
import { FlotillaError, messageOf } from '../../core/errors/flotilla-error.ts';
import { createLog, type Logger } from '../../core/log.ts';
import { readContents } from '../store/read-contents.ts';
import type { StoreReply, StoreRequest } from '../store/store-thread.ts';
import { StoreWriter } from '../store/store-writer.ts';
import { CheckpointSchedule } from './checkpoint-schedule.ts';
import { claimFleet } from './fleet-claim.ts';
import { createIndex } from './index-file.ts';
import { recoverJournal } from './journal-recovery.ts';
import { JournalServer, silentMaxMs } from './journal-server.ts';
import { journalTerm } from './journal-tables.ts';
import { storeNameOf } from './store-layout.ts';
import type { JournalNotice, JournalThreadData, JournalTimes } from './journal-thread.ts';
import { StallReasons } from './stall-reasons.ts';
import { TouchedRows } from './touched-rows.ts';

const usualTimes: JournalTimes = {
  checkpointMs: 30_000,
  checkpointBytes: 32 * 1024 * 1024,
  frozenAfterMs: 10_000,
};
/** Also how often the facts are sent. */
const heartbeatMs = 1000;

type Post = (reply: StoreReply, transfer?: ArrayBuffer[]) => void;

/** Serves a store on a port. Every error is a reply. */
export async function serveJournal(port: MessagePort, data: JournalThreadData): Promise<void> {
  const post: Post = (reply, transfer = []) => port.postMessage(reply, transfer);
  const log = createLog({
    level: 'debug',
    destination: { write: (line) => notify(post, { type: 'log', line }) },
  });
  try {
    await startJournal(port, data, post, log);
  } catch (error) {
    fail(post, 'store-open-failed', error);
  }
}

async function startJournal(
  port: MessagePort,
  data: JournalThreadData,
  post: Post,
  log: Logger,
): Promise<void> {
  const times = { ...usualTimes, ...data.times };
  const store = storeNameOf(data.partition);
  const tables = journalTerm(data.partition);
  const stall = new StallReasons((reason) => {
    post(reason === undefined ? { type: 'resumed' } : { type: 'stalled', detail: reason });
  });
  const serving: { server?: JournalServer } = {};
  const deps = {
    ...{ tables, access: data.access, instance: data.instance, log, heartbeatMs },
    connectionChanged(isConnected: boolean): void {
      if (!isConnected) stall.plan('database', 'the database cannot be reached', silentMaxMs);
      // Otherwise what is on its way ends the stall.
      else if (serving.server?.isIdle === true) stall.clear('database');
    },
  };
  const term = await DatabaseTerm.begin(
    deps,
    data.waits
      ? {
          // The thread is ended from outside.
          stop: new Promise(() => undefined),
          waiting: (active) => notify(post, { type: 'standby', active }),
          frozenAfterMs: times.frozenAfterMs,
        }
      : undefined,
  );
  if (term === undefined) return;
  const startMs = performance.now();
  await claimFleet(term, store, data.roots);
  const database = createIndex(data.path);
  const writer = new StoreWriter(database);
  const touched = new TouchedRows();
  const recovered = await recoverJournal(term, store, writer, touched);
  const { rows, replayed, replayedBytes } = recovered;
  log.info(
    {
      store,
      term: term.term,
      rows,
      replayed,
      replayedBytes,
      tookMs: Math.round(performance.now() - startMs),
    },
    'the sessions were read from the database',
  );
  const started = new JournalServer({ store, term, database, writer, stall, post });
  serving.server = started;
  const checkpoints = new CheckpointSchedule(
    {
      ...{ store, access: data.access, term, path: data.path, times, log },
      position: () => started.position(),
      durable: (position) => started.durable(position),
    },
    touched,
    replayedBytes,
  );
  started.checkpoints = checkpoints;
  serve({ store, port, post, term, database, server: started, checkpoints });
}

interface Serving {
  readonly store: string;
  readonly port: MessagePort;
  readonly post: Post;
  readonly term: DatabaseTerm;
  readonly database: DatabaseSync;
  readonly server: JournalServer;
  readonly checkpoints: CheckpointSchedule;
}

function serve({ store, port, post, term, database, server, checkpoints }: Serving): void {
  const sendFacts = (): void => {
    const facts = { store, term: term.term, isConnected: term.isConnected, ...checkpoints.facts };
    notify(post, { type: 'facts', facts });
  };
  const sending = setInterval(sendFacts, heartbeatMs);
  const end = async (last: () => void): Promise<void> => {
    port.removeAllListeners('message');
    clearInterval(sending);
    server.stop();
    last();
    await checkpoints.close();
    await term.close().catch(() => undefined);
    database.close();
  };
  void term.lost.then((error) => end(() => fail(post, error.code, error)));
  const close = async (): Promise<void> => {
    if (!(await server.finish())) {
      return end(() => fail(post, 'store-write-failed', new Error('the database is away')));
    }
    await checkpoints.finish();
    await end(() => undefined);
    post({ type: 'closed' });
  };
  port.on('message', (request: StoreRequest) => {
    try {
      if (request.type === 'close') void close();
      else server.handle(request);
    } catch (error) {
      void end(() => fail(post, 'store-write-failed', error));
    }
  });
  const contents = readContents(database);
  sendFacts();
  post({ type: 'opened', contents }, [contents.queue.buffer]);
}

function notify(post: Post, notice: JournalNotice): void {
  post({ type: 'notice', notice });
}

function fail(post: Post, code: FlotillaError['code'], error: unknown): void {
  if (error instanceof FlotillaError) {
    post({ type: 'failed', code: error.code, detail: error.detail });
  } else {
    post({ type: 'failed', code, detail: messageOf(error) });
  }
}
