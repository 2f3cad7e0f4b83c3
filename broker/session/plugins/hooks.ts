/**
 * The hooks and events of Aedes, as far as a plug-in set or listens to them. Until then a field is
 * undefined or false, and a packet costs one look at it.
 *
 * @module
 */
import type { AedesOptions } from 'aedes';
import { PluginClient, type PluginTarget } from './plugin-client.ts';

type Hook<K extends keyof AedesOptions> = NonNullable<AedesOptions[K]> | undefined;

/** Events that cost something to tell. */
export interface ListenerFlags {
  subscribe: boolean;
  unsubscribe: boolean;
  ping: boolean;
  ack: boolean;
  connackSent: boolean;
  keepaliveTimeout: boolean;
  clientError: boolean;
  connectionError: boolean;
}

/** What a hook answered: an error, or its value. */
export interface HookResult<T> {
  readonly error: Error | undefined;
  readonly value: T | undefined;
}

export type Reply<T> = (error?: Error | null, value?: T) => void;

export class Hooks {
  preConnect: Hook<'preConnect'> = undefined;
  authenticate: Hook<'authenticate'> = undefined;
  authorizePublish: Hook<'authorizePublish'> = undefined;
  authorizeSubscribe: Hook<'authorizeSubscribe'> = undefined;
  authorizeForward: Hook<'authorizeForward'> = undefined;
  published: Hook<'published'> = undefined;
  readonly hasListeners: ListenerFlags = {
    subscribe: false,
    unsubscribe: false,
    ping: false,
    ack: false,
    connackSent: false,
    keepaliveTimeout: false,
    clientError: false,
    connectionError: false,
  };
  /** Emits an event to those who listen. */
  emit: (event: string, ...values: unknown[]) => void = () => undefined;
  readonly #clients = new WeakMap<PluginTarget, PluginClient>();

  /** A connection as plug-ins know it: always the same object. */
  clientOf(client: PluginTarget): PluginClient {
    let known = this.#clients.get(client);
    if (known === undefined) this.#clients.set(client, (known = new PluginClient(client)));
    return known;
  }

  /** A packet could not be taken, and its connection ends. */
  reportError(client: PluginTarget, error: Error): void {
    const event = client.session === undefined ? 'connectionError' : 'clientError';
    if (this.hasListeners[event]) this.emit(event, this.clientOf(client), error);
  }
}

/** Calls a hook. What it throws is its answer; more than one answer is one. */
export function callHook<T>(
  call: (reply: Reply<T>) => void,
  answered: (answer: HookResult<T>) => void,
): void {
  let done = false;
  const reply = (error?: Error | null, value?: T): void => {
    if (done) return;
    done = true;
    answered({ error: error ?? undefined, value });
  };
  try {
    call(reply);
  } catch (error) {
    reply(error instanceof Error ? error : new Error(String(error)));
  }
}
