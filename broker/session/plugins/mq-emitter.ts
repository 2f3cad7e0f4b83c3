/**
 * The `mq` of Aedes for plug-ins (the interface of mqemitter): functions that listen to topics. They are
 * receivers in the same routes as sessions.
 *
 * @module
 */
import type { Qos } from '../../store/session-store.ts';

/** The packet that a listener gets, with the fields of Aedes. */
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

/** The interface of mqemitter. */
export interface Emitter {
  on(filter: string, listener: EmitterListener, done?: () => void): this;
  removeListener(filter: string, listener: EmitterListener, done?: () => void): this;
  emit(packet: EmitterPacket, done?: Done): this;
  close(done?: () => void): void;
}

/** Adds listeners to the router and publishes for them. */
export interface ListenerHost {
  add(filter: string, listener: EmitterListener): void;
  remove(filter: string, listener: EmitterListener): void;
  publish(packet: EmitterPacket): void;
}

/** An emitter that uses the router of the broker. */
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
      done?.(new Error('the broker is closed'));
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
