/**
 * The bus as plug-ins of Aedes see it (`mq`, the interface of mqemitter): functions that listen to
 * topics stand in the same routes as sessions.
 *
 * @module
 */
import type { Qos } from '../../store/session-store.ts';

/** What a listener gets: the packet that Aedes's plug-ins know. */
export interface EmitterPacket {
  readonly cmd: 'publish';
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: Qos;
  readonly retain: boolean;
  readonly dup: boolean;
  readonly brokerId?: string;
  readonly brokerCounter?: number;
  readonly clientId?: string;
}

export type EmitterListener = (packet: EmitterPacket, done: () => void) => void;
export type Done = (error?: Error | null) => void;

/** What `mq` must be able to do. */
export interface Emitter {
  on(filter: string, listener: EmitterListener, done?: () => void): this;
  removeListener(filter: string, listener: EmitterListener, done?: () => void): this;
  emit(packet: EmitterPacket, done?: Done): this;
  close(done?: () => void): void;
}

/** How a listener is put into the routes and taken out again. */
export interface ListenerHost {
  add(filter: string, listener: EmitterListener): void;
  remove(filter: string, listener: EmitterListener): void;
  publish(packet: EmitterPacket): void;
}

/** The bus for plug-ins. */
export class RoutedEmitter implements Emitter {
  readonly #host: ListenerHost;
  #closed = false;

  constructor(host: ListenerHost) {
    this.#host = host;
  }

  on(filter: string, listener: EmitterListener, done?: () => void): this {
    this.#host.add(filter, listener);
    if (done !== undefined) setImmediate(done);
    return this;
  }

  removeListener(filter: string, listener: EmitterListener, done?: () => void): this {
    this.#host.remove(filter, listener);
    if (done !== undefined) setImmediate(done);
    return this;
  }

  emit(packet: EmitterPacket, done?: Done): this {
    if (this.#closed) {
      done?.(new Error('the bus is closed'));
      return this;
    }
    this.#host.publish(packet);
    if (done !== undefined) setImmediate(done, null);
    return this;
  }

  close(done?: () => void): void {
    this.#closed = true;
    if (done !== undefined) setImmediate(done);
  }
}
