/**
 * The hooks of Aedes that a plug-in has set, and the events that it listens to. Otherwise the field is
 * undefined or false and costs one comparison per packet.
 *
 * @module
 */
import type { AedesOptions } from 'aedes';
import { PluginClient, type PluginTarget } from './plugin-client.ts';

type Hook<K extends keyof AedesOptions> = NonNullable<AedesOptions[K]> | undefined;

/** Whether an event has listeners, for the events that cost something to emit. */
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

/** The answer of a hook: an error or a value. */
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
  /** Emits an event of Aedes. */
  emit: (event: string, ...values: unknown[]) => void = () => undefined;
  readonly #clients = new WeakMap<PluginTarget, PluginClient>();

  /** The Aedes client of a connection: always the same object. */
  clientOf(client: PluginTarget): PluginClient {
    let pluginClient = this.#clients.get(client);
    if (pluginClient === undefined) {
      pluginClient = new PluginClient(client);
      this.#clients.set(client, pluginClient);
    }
    return pluginClient;
  }

  /** A packet could not be handled, and its connection will be closed. */
  reportError(client: PluginTarget, error: Error): void {
    const event = client.session === undefined ? 'connectionError' : 'clientError';
    if (this.hasListeners[event]) this.emit(event, this.clientOf(client), error);
  }
}

/** Calls a hook. An exception is its answer. Only the first answer counts. */
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
