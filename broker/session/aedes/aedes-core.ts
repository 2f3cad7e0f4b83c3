/**
 * The {@link Aedes} instance for plug-ins. Its connections are those of the session layer.
 *
 * Plug-ins get a real instance of the class with its events and hooks (docs/plug-ins.md), `subscribe` and
 * `unsubscribe` for functions, `mq` and `persistence`. The session layer replaces the clients; the map of
 * clients, from which a closed connection never removes a newer one with the same id; and `publish`: the
 * pipeline of Aedes costs 1.7 µs for a QoS 0 and 5 µs for a QoS 1 message, mostly for work that has no
 * effect here.
 *
 * @module
 */
import { Aedes, type AedesPublishPacket, type Client as AedesClient } from 'aedes';
import type { EmitterListener, EmitterPacket } from '../plugins/mq-emitter.ts';
import { RoutedEmitter } from '../plugins/mq-emitter.ts';
import type { AedesPersistence } from './aedes-persistence.ts';
import type { ClientConnection } from '../connection/connection.ts';
import type { Publisher } from '../state/publisher.ts';
import type { PublishOutcome } from '../state/publish-outcome.ts';
import { afterConfirmations } from '../delivery/receiver-confirmation.ts';
import { Message } from '../delivery/message.ts';
import { callHook, type ListenerFlags, type Hooks } from '../plugins/hooks.ts';
import { asAedesClient } from '../plugins/plugin-client.ts';
import { emitterPacket, PluginReceiver, type PluginPacket } from '../plugins/plugin-receiver.ts';
import type { SessionContext } from '../state/context.ts';

/** The properties of aedes 1.2 that its types leave out. The one cast to them is in this file. */
interface UntypedAedes {
  clients: object;
  connectedClients: number;
  closed: boolean;
  persistence: AedesPersistence;
}

type Callback = (error?: Error) => void;

export class AedesCore extends Aedes {
  readonly #context: SessionContext;
  readonly #publisher: Publisher;
  readonly #persistence: AedesPersistence;
  readonly #receivers = new Map<EmitterListener, PluginReceiver>();
  /** By client id. Plug-ins see this map as `clients`. */
  readonly #connections = Object.create(null) as Record<string, ClientConnection | undefined>;

  constructor(context: SessionContext, publisher: Publisher, persistence: AedesPersistence) {
    super({
      mq: new RoutedEmitter({
        add: (filter, listener) => this.#listen(filter, listener),
        remove: (filter, listener) => this.#unlisten(filter, listener),
        publish: (packet) => this.#publish(packet),
      }),
      persistence,
      concurrency: 0,
    });
    this.#context = context;
    this.#publisher = publisher;
    this.#persistence = persistence;
    this.#bindHooks(context.hooks);
    this.#untyped.clients = new Proxy(this.#connections, {
      get: (live, id) => {
        const client = typeof id === 'string' ? live[id] : undefined;
        return client === undefined ? undefined : context.hooks.clientOf(client);
      },
      set: () => false,
      deleteProperty: () => false,
    });
    // The session layer accepts streams, because it knows their identity.
    this.handle = () => {
      throw new Error('streams are accepted by the session layer, not by Aedes');
    };
  }

  get #untyped(): UntypedAedes {
    return this as unknown as UntypedAedes;
  }

  /**
   * Opens the instance. The method of Aedes is not called: it publishes heartbeats and the wills of
   * other brokers.
   */
  override listen(): Promise<void> {
    const untyped = this.#untyped;
    untyped.connectedClients = 0;
    untyped.closed = false;
    untyped.persistence = this.#persistence;
    this.#watchListeners(this);
    return this.#persistence.setup(this);
  }

  /**
   * Publishes a message of a plug-in. `done` is called after the commit, when other partitions have confirmed.
   */
  override publish(packet: PluginPacket, client?: unknown, done?: Callback): void {
    const callback = (typeof client === 'function' ? (client as Callback) : done) ?? noop;
    let outcome: PublishOutcome;
    try {
      outcome = this.#publish(packet);
    } catch (error) {
      callback(error instanceof Error ? error : new Error(String(error)));
      return;
    }
    afterConfirmations(this.#context.store, outcome.confirmations ?? [], callback);
  }

  /** CONNECT was accepted. */
  register(client: ClientConnection): void {
    const { clientId } = client;
    if (clientId === undefined || client.closed) return;
    const untyped = this.#untyped;
    untyped.connectedClients++;
    this.#connections[clientId] = client;
    this.#emitClientEvent('client', client);
    this.#emitClientEvent('clientReady', client);
  }

  /** The connection is closed. A newer connection with the same client id stays. */
  unregister(client: ClientConnection): void {
    const { clientId } = client;
    if (clientId === undefined) return;
    const untyped = this.#untyped;
    untyped.connectedClients--;
    if (this.#connections[clientId] === client) Reflect.deleteProperty(this.#connections, clientId);
    this.#emitClientEvent('clientDisconnect', client);
  }

  /** Closes the instance. The session layer has closed all connections before. */
  override close(done: () => void = noop): void {
    const untyped = this.#untyped;
    if (!untyped.closed) {
      untyped.closed = true;
      this.emit('closed');
    }
    setImmediate(done);
  }

  #publish(packet: PluginPacket | EmitterPacket): PublishOutcome {
    const { payload = '', topic, qos = 0, retain = false } = packet;
    const message = Message.from(topic, qos, retain, payload);
    return this.#publisher.publish(message, this.#publisher.route(topic), undefined);
  }

  #listen(filter: string, listener: EmitterListener): void {
    let receiver = this.#receivers.get(listener);
    if (receiver === undefined) {
      receiver = new PluginReceiver(listener, (error) =>
        this.#context.events.failed?.({ filter }, error, 'a plug-in failed to handle a message'),
      );
      this.#receivers.set(listener, receiver);
    }
    this.#publisher.subscribe({
      subscriber: receiver,
      filter,
      group: undefined,
      qos: 2,
      noLocal: false,
      retainAsPublished: true,
      identifier: undefined,
    });
  }

  #unlisten(filter: string, listener: EmitterListener): void {
    const receiver = this.#receivers.get(listener);
    if (receiver !== undefined) this.#publisher.unsubscribe(receiver, filter, undefined);
  }

  /** Tracks which events have listeners: the others are not emitted. */
  #watchListeners(events: NodeJS.EventEmitter): void {
    const { hasListeners } = this.#context.hooks;
    const update = (event: string | symbol, hasListener: boolean): void => {
      if (event === 'publish') this.#watchMessages(hasListener);
      else if (typeof event === 'string' && event in hasListeners)
        hasListeners[event as keyof ListenerFlags] = hasListener;
    };
    events.on('newListener', (event: string | symbol) => update(event, true));
    events.on('removeListener', (event: string | symbol) => {
      update(event, this.listenerCount(event) > 0);
    });
  }

  /**
   * A hook is a property of the instance, as in Aedes. The default hooks of Aedes are never called: the
   * policy authorizes.
   */
  #bindHooks(hooks: Hooks): void {
    for (const name of hookNames) {
      const defaultHook: unknown = this[name];
      Object.defineProperty(this, name, {
        get: () => hooks[name] ?? defaultHook,
        set: (hook: unknown) => {
          Object.assign(hooks, { [name]: hook === defaultHook ? undefined : hook });
          if (name === 'published') this.#watchMessages(this.listenerCount('publish') > 0);
        },
      });
    }
    hooks.emit = (event, ...values) => this.#emit(event, ...values);
  }

  /** The `publish` event and the `published` hook cost one packet object for each message. */
  #watchMessages(hasListener: boolean): void {
    const isNeeded = hasListener || this.#context.hooks.published !== undefined;
    this.#publisher.onMessage = isNeeded ? (message) => this.#emitPublish(message) : undefined;
  }

  #emitPublish(message: Message): void {
    const { hooks, events } = this.#context;
    const { published } = hooks;
    const client =
      message.publisher === undefined ? undefined : this.#connections[message.publisher];
    const pluginClient = client ? asAedesClient(hooks.clientOf(client)) : null;
    const packet = emitterPacket(message);
    if (published !== undefined) {
      callHook<undefined>(
        // The client is null for a message of the broker, as in Aedes, whose types leave that out.
        (reply) => published(packet as AedesPublishPacket, pluginClient as AedesClient, reply),
        ({ error }) => {
          if (error === undefined) return;
          events.failed?.(
            { device: client?.identity.id, topic: message.topic },
            error,
            'a plug-in rejected a published message: its publisher is disconnected',
          );
          client?.close('closed-by-plug-in');
        },
      );
    }
    this.#emit('publish', packet, pluginClient);
  }

  #emitClientEvent(event: string, client: ClientConnection): void {
    if (this.listenerCount(event) > 0) this.#emit(event, this.#context.hooks.clientOf(client));
  }

  #emit(event: string, ...values: unknown[]): void {
    if (this.listenerCount(event) > 0) {
      (this as NodeJS.EventEmitter).emit(event, ...values);
    }
  }
}

const hookNames = [
  'preConnect',
  'authenticate',
  'authorizePublish',
  'authorizeSubscribe',
  'authorizeForward',
  'published',
] as const;

function noop(): void {
  // No callback was passed.
}
