/**
 * The core: an {@link Aedes} whose clients are ours.
 *
 * What stays Aedes's: the class (plug-ins get a real instance), its events and hooks (as
 * docs/plug-ins.md has them), `subscribe` and `unsubscribe` for functions, and the interfaces of bus
 * (`mq`) and store (`persistence`). What is ours: the clients
 * themselves; the registry, in which a client is removed as itself and never by its id alone; and
 * `publish`, which does only what applies to a message (measured: the pipeline of Aedes costs 1.7 µs
 * a QoS 0 and 5 µs a QoS 1 message, mostly for work that nobody waits for).
 *
 * @module
 */
import { Aedes, type AedesPublishPacket, type Client as AedesClient } from 'aedes';
import type { EmitterListener, EmitterPacket } from '../plugins/mq-emitter.ts';
import { RoutedEmitter } from '../plugins/mq-emitter.ts';
import type { AedesPersistence } from './aedes-persistence.ts';
import type { ClientConnection } from '../connection/connection.ts';
import type { Publisher } from '../state/publisher.ts';
import { Message } from '../delivery/message.ts';
import { callHook, type ListenerFlags, type Hooks } from '../plugins/hooks.ts';
import { asAedesClient } from '../plugins/plugin-client.ts';
import { emitterPacket, PluginReceiver, type PluginPacket } from '../plugins/plugin-receiver.ts';
import type { SessionContext } from '../state/context.ts';

/** What the published types of aedes 1.2 leave out. The one seam to it. */
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
  /** By client id. Plug-ins see it as `clients`. */
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
    // Streams come through the session layer, which knows who is on them.
    this.handle = () => {
      throw new Error('streams are handed to the session layer, not to Aedes');
    };
  }

  get #untyped(): UntypedAedes {
    return this as unknown as UntypedAedes;
  }

  /**
   * Opens the core. Not Aedes's own: that one publishes heartbeats and sweeps the wills of other
   * brokers, which our store looks after itself.
   */
  override listen(): Promise<void> {
    const inside = this.#untyped;
    inside.connectedClients = 0;
    inside.closed = false;
    inside.persistence = this.#persistence;
    this.#watchListeners(this);
    return this.#persistence.setup(this);
  }

  /**
   * Publishes for a plug-in, or for the broker itself. `done` is called when the message is stored.
   */
  override publish(packet: PluginPacket, client?: unknown, done?: Callback): void {
    const callback = (typeof client === 'function' ? (client as Callback) : done) ?? noop;
    try {
      this.#publish(packet);
    } catch (error) {
      callback(error instanceof Error ? error : new Error(String(error)));
      return;
    }
    this.#context.store.afterCommit(callback);
  }

  /** A connection came through CONNECT. */
  register(client: ClientConnection): void {
    const { clientId } = client;
    if (clientId === undefined || client.closed) return;
    const inside = this.#untyped;
    inside.connectedClients++;
    this.#connections[clientId] = client;
    this.#emitClientEvent('client', client);
    this.#emitClientEvent('clientReady', client);
  }

  /** It is gone. Whoever has its id now stays. */
  unregister(client: ClientConnection): void {
    const { clientId } = client;
    if (clientId === undefined) return;
    const inside = this.#untyped;
    inside.connectedClients--;
    if (this.#connections[clientId] === client) Reflect.deleteProperty(this.#connections, clientId);
    this.#emitClientEvent('clientDisconnect', client);
  }

  /** Ends the core: the session layer has closed all clients before. */
  override close(done: () => void = noop): void {
    const inside = this.#untyped;
    if (!inside.closed) {
      inside.closed = true;
      this.emit('closed');
    }
    setImmediate(done);
  }

  #publish(packet: PluginPacket | EmitterPacket): void {
    const { payload = '', topic, qos = 0, retain = false } = packet;
    const message = Message.from(topic, qos, retain, payload);
    this.#publisher.publish(message, this.#publisher.route(topic), undefined);
  }

  #listen(filter: string, listener: EmitterListener): void {
    let receiver = this.#receivers.get(listener);
    if (receiver === undefined) {
      receiver = new PluginReceiver(listener, (error) =>
        this.#context.log.error({ err: error, filter }, 'a plug-in failed on a message'),
      );
      this.#receivers.set(listener, receiver);
    }
    this.#publisher.router.add({
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
    if (receiver !== undefined) this.#publisher.router.remove(receiver, filter, undefined);
  }

  /** Events that cost something to tell are told only while somebody listens. */
  #watchListeners(events: NodeJS.EventEmitter): void {
    const { hasListeners } = this.#context.hooks;
    const look = (event: string | symbol, listened: boolean): void => {
      if (event === 'publish') this.#watchMessages(listened);
      else if (typeof event === 'string' && event in hasListeners)
        hasListeners[event as keyof ListenerFlags] = listened;
    };
    events.on('newListener', (event: string | symbol) => look(event, true));
    events.on('removeListener', (event: string | symbol) => {
      look(event, this.listenerCount(event) > 0);
    });
  }

  /**
   * A hook is a property of the instance, as in Aedes. What is not set, or is Aedes's own, is not
   * asked: who may do what says the policy.
   */
  #bindHooks(hooks: Hooks): void {
    for (const name of hookNames) {
      const own: unknown = this[name];
      Object.defineProperty(this, name, {
        get: () => hooks[name] ?? own,
        set: (hook: unknown) => {
          Object.assign(hooks, { [name]: hook === own ? undefined : hook });
          if (name === 'published') this.#watchMessages(this.listenerCount('publish') > 0);
        },
      });
    }
    hooks.emit = (event, ...values) => this.#emit(event, ...values);
  }

  /** The `publish` event and the `published` hook cost a packet object a message. */
  #watchMessages(listened: boolean): void {
    const wanted = listened || this.#context.hooks.published !== undefined;
    this.#publisher.onMessage = wanted ? (message) => this.#emitPublish(message) : undefined;
  }

  #emitPublish(message: Message): void {
    const { hooks, log } = this.#context;
    const { published } = hooks;
    const client =
      message.publisher === undefined ? undefined : this.#connections[message.publisher];
    const plugInClient = client ? asAedesClient(hooks.clientOf(client)) : null;
    const packet = emitterPacket(message);
    if (published !== undefined) {
      callHook<undefined>(
        // Null when the broker itself published, as in Aedes, whose types leave it out.
        (reply) => published(packet as AedesPublishPacket, plugInClient as AedesClient, reply),
        ({ error }) => {
          if (error === undefined) return;
          log.warn({ err: error, topic: message.topic }, 'a plug-in objected to a message');
          client?.close('closed-by-plug-in');
        },
      );
    }
    this.#emit('publish', packet, plugInClient);
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
  // Nobody waits.
}
