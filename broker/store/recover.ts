/**
 * Restores the state of the durable store, and the sessions for the session layer, from the rows of the
 * database.
 *
 * @module
 */
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { readMessage, stateNames, subscriptionOf } from './batch-format.ts';
import type { Body, DurableSession, Entry } from './durable-queue.ts';
import { Queue } from './queue-index.ts';
import type { RecoveredSession, SubscriptionRecord, WillRecord } from './session-store.ts';
import type { StoreContents } from './store-thread.ts';

/** The contents of the database. */
export interface RecoveredState {
  readonly sessions: readonly RecoveredSession[];
  /** By client id. */
  readonly durableSessions: ReadonlyMap<string, DurableSession>;
  readonly wills: readonly WillRecord[];
  readonly lastSessionId: number;
  readonly lastSequence: number;
  readonly lastRow: number;
}

/** @throws FlotillaError `store-damaged` when the rows are not consistent */
export function recover(contents: StoreContents, path: string): RecoveredState {
  try {
    return restoreState(contents);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new FlotillaError('store-damaged', { detail: `${path}: ${error.message}`, cause: error });
  }
}

function restoreState(contents: StoreContents): RecoveredState {
  const queues = new Map<number, DurableSession>();
  const subscriptions = new Map<number, SubscriptionRecord[]>();
  const incoming = new Map<number, number[]>();
  let lastSessionId = 0;
  for (const [id, , owner] of contents.sessions) {
    queues.set(id, { id, owner, queue: new Queue() });
    subscriptions.set(id, []);
    incoming.set(id, []);
    lastSessionId = Math.max(lastSessionId, id);
  }
  for (const [session, filter, options, identifier] of contents.subscriptions) {
    existing(subscriptions, session).push(subscriptionOf(filter, options, identifier));
  }
  for (const [session, packet] of contents.incoming) existing(incoming, session).push(packet);
  const { lastSequence, lastRow } = fillQueues(contents.queue, queues);
  return {
    sessions: contents.sessions.map(
      ([id, clientId, identityId, version, expirySeconds, disconnected, created]) => {
        const { messages, bytes } = existing(queues, id).queue;
        return {
          clientId,
          identityId,
          identityCreatedAtMs: created ?? undefined,
          protocolVersion: versionOf(version),
          expirySeconds,
          disconnectedAtMs: disconnected ?? undefined,
          subscriptions: existing(subscriptions, id),
          incoming: existing(incoming, id),
          queue: { messages, bytes },
        };
      },
    ),
    durableSessions: new Map(
      contents.sessions.map(([id, clientId]) => [clientId, existing(queues, id)]),
    ),
    wills: contents.wills.map(willOf),
    lastSessionId,
    lastSequence,
    lastRow,
  };
}

function willOf([
  clientId,
  identityId,
  delaySeconds,
  due,
  message,
  created,
  fingerprint,
]: StoreContents['wills'][number]): WillRecord {
  return {
    clientId,
    identityId,
    identityCreatedAtMs: created ?? undefined,
    fingerprint: fingerprint === null || fingerprint === '' ? undefined : fingerprint,
    message: readMessage(message),
    delaySeconds,
    dueAtMs: due ?? undefined,
  };
}

function fillQueues(
  numbers: Float64Array,
  queues: ReadonlyMap<number, DurableSession>,
): { lastSequence: number; lastRow: number } {
  const bodies = new Map<number, Body>();
  let lastSequence = 0;
  let lastRow = 0;
  // Six numbers per entry, in the order of store-thread.ts.
  for (let at = 0; at + 5 < numbers.length; at += 6) {
    const [sequence, session, state, packetId, bytes, row] = numbers.subarray(
      at,
      at + 6,
    ) as never as readonly [number, number, number, number, number, number];
    let body = bodies.get(row);
    if (row !== 0) {
      if (body === undefined) {
        body = { row, references: 0, shared: true, batch: 0, at: 0 };
        bodies.set(row, body);
      }
      body.references++;
    }
    const name = stateNames[state];
    if (name === undefined) throw new RangeError(`entry ${sequence} has the state ${state}`);
    const entry: Entry = { sequence, bytes, state: name, packetId, body, batch: 0, at: 0 };
    existing(queues, session).queue.append(entry);
    lastSequence = sequence;
    lastRow = Math.max(lastRow, row);
  }
  return { lastSequence, lastRow };
}

function existing<T>(map: ReadonlyMap<number, T>, session: number): T {
  const found = map.get(session);
  if (found === undefined) throw new RangeError(`session ${session} is missing`);
  return found;
}

function versionOf(version: number): 3 | 4 | 5 {
  if (version === 3 || version === 4 || version === 5) return version;
  throw new RangeError(`invalid protocol version ${version}`);
}
