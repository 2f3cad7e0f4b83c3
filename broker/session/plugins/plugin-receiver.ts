/**
 * A function of a plug-in (`broker.subscribe`, `mq.on`) as a receiver of messages.
 *
 * @module
 */
import type { EmitterListener, EmitterPacket } from './mq-emitter.ts';
import type { Message } from '../delivery/message.ts';
import { oneReady, type Receiver } from '../delivery/receiver.ts';

/** The packet that a plug-in passes to `publish`. */
export interface PluginPacket {
  readonly cmd?: 'publish';
  readonly dup?: boolean;
  readonly topic: string;
  readonly payload?: string | Buffer;
  readonly qos?: 0 | 1 | 2;
  readonly retain?: boolean;
}

export class PluginReceiver implements Receiver {
  readonly readiness = oneReady;
  readonly #listener: EmitterListener;
  readonly #failed: (error: unknown) => void;

  constructor(listener: EmitterListener, failed: (error: unknown) => void) {
    this.#listener = listener;
    this.#failed = failed;
  }

  deliver(message: Message): boolean {
    try {
      this.#listener(emitterPacket(message), () => undefined);
    } catch (error) {
      this.#failed(error);
    }
    return false;
  }

  mayReceive(): boolean {
    return true;
  }
}

/** The packet of a message for plug-ins. Its payload is a copy, because a plug-in may keep it. */
export function emitterPacket(message: Message): EmitterPacket {
  return {
    cmd: 'publish',
    topic: message.topic,
    payload: Buffer.from(message.payload),
    qos: message.qos,
    retain: message.retain,
    dup: false,
    ...(message.publisher === undefined ? {} : { clientId: message.publisher }),
  };
}
