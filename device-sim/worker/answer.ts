/**
 * Runs one call to a worker and makes its reply, for every kind of channel.
 *
 * @module
 */
import { isFlotillaError, messageOf } from '../../core/errors/flotilla-error.ts';
import { LinkError } from '../device/link.ts';
import type { CallMessage, CallName, WorkerCalls, WorkerMessage } from './protocol.ts';

/** Every call that a worker accepts. */
export const callNames = [
  'clock',
  'setup',
  'load',
  'adopt',
  'enroll',
  'credentials',
  'connect',
  'traffic',
  'dropConnections',
  'disconnect',
  'churn',
  'drops',
  'keepSessions',
  'sendOne',
  'leaks',
  'renew',
  'watchClose',
  'attempt',
  'subscribe',
  'unsubscribe',
  'publish',
  'pauseReading',
  'awaitOnline',
  'status',
  'settle',
  'account',
  'observe',
  'command',
  'observerAccount',
  'halt',
  'flush',
  'close',
] as const satisfies readonly CallName[];

/** Runs a call; never throws. */
export async function handleCall(
  worker: WorkerCalls,
  { call, name, params }: CallMessage,
): Promise<WorkerMessage> {
  try {
    if (!callNames.includes(name)) throw new TypeError(`unknown call ${name}`);
    // No type connects the name of a received call with its parameters: this is the one place to cast.
    const calls: Readonly<Record<CallName, (params: never) => Promise<unknown>>> = worker;
    const result = await calls[name](params as never);
    return { kind: 'result', call, result: result ?? null };
  } catch (error) {
    const code = isFlotillaError(error)
      ? error.code
      : error instanceof LinkError
        ? `link:${error.reason}`
        : 'internal';
    const message = isFlotillaError(error)
      ? (error.detail ?? '')
      : error instanceof LinkError
        ? error.detail
        : messageOf(error);
    return { kind: 'error', call, code, message };
  }
}
