/**
 * The client object of Aedes plug-ins for a connection. It is created only if a plug-in uses it.
 *
 * @module
 */
import { EventEmitter } from 'node:events';
import type { Client as AedesClient } from 'aedes';
import type { ErrorCode } from '../../../core/errors/catalogue.ts';
import type { Identity } from '../../contracts/identity.ts';
import type { Wire } from '../../contracts/connection-wire.ts';
import type { Qos, SessionStore } from '../../store/session-store.ts';
import { Message } from '../delivery/message.ts';
import type { PluginPacket } from './plugin-receiver.ts';

/** What a plug-in can use of a connection. */
export interface PluginTarget {
  /** Undefined until CONNECT was accepted. */
  readonly clientId: string | undefined;
  /** 3, 4 or 5; undefined until CONNECT was read. */
  readonly protocolVersion: number | undefined;
  readonly wire: Pick<Wire, 'stream'>;
  readonly closed: boolean;
  readonly identity: Identity;
  /** Undefined until CONNECT was accepted. */
  readonly session:
    | {
        readonly kept: boolean;
        readonly owner: unknown;
        readonly store: SessionStore;
        deliver(
          message: Message,
          qos: Qos,
          retain: boolean,
          identifiers: readonly number[],
        ): boolean;
      }
    | undefined;
  close(code: ErrorCode): void;
}

export class PluginClient extends EventEmitter {
  readonly #client: PluginTarget;

  constructor(client: PluginTarget) {
    super();
    this.#client = client;
  }

  /** Empty until CONNECT was accepted. */
  get id(): string {
    return this.#client.clientId ?? '';
  }

  get version(): number {
    return this.#client.protocolVersion ?? 0;
  }

  /** Whether the session ends with the connection. */
  get clean(): boolean {
    return this.#client.session?.kept !== true;
  }

  get conn(): AedesClient['conn'] {
    return this.#client.wire.stream();
  }

  get connecting(): boolean {
    return this.#client.session === undefined && !this.#client.closed;
  }

  get connected(): boolean {
    return this.#client.session !== undefined && !this.#client.closed;
  }

  get closed(): boolean {
    return this.#client.closed;
  }

  /** The identity from the certificate. Aedes itself does not have this property. */
  get identity(): Identity {
    return this.#client.identity;
  }

  /** Sends a message to this client only, whatever its subscriptions are. `done` is called after the commit. */
  publish(packet: PluginPacket, done: (error?: Error) => void = () => undefined): void {
    const { session } = this.#client;
    if (session === undefined || session.owner !== this.#client) {
      done(new Error('the client is not connected'));
      return;
    }
    const { topic, payload = '', qos = 0, retain = false } = packet;
    const message = Message.from(topic, qos, retain, payload);
    session.deliver(message, qos, retain, []);
    session.store.afterCommit(done);
  }

  /** Closes the connection. */
  close(done: () => void = () => undefined): void {
    this.#client.close('closed-by-plug-in');
    const stream = this.#client.wire.stream();
    if (stream.destroyed) done();
    else stream.once('close', done);
  }
}

/** The one cast to the client type of Aedes, which also has methods to subscribe: a client here subscribes itself. */
export function asAedesClient(client: PluginClient): AedesClient {
  return client as unknown as AedesClient;
}
