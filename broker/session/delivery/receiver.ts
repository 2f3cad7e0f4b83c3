/**
 * Who can be given a message by the bus: a session, or a function of a plug-in.
 *
 * @module
 */
import type { Qos } from '../../store/session-store.ts';
import type { Message } from './message.ts';

/**
 * How well a receiver can take a message now: `able`, `busy` (connected, not reading or its window
 * full), `away` (only its session is kept).
 */
export type Readiness = 'able' | 'busy' | 'away';

export interface Receiver {
  readonly readiness: Readiness;
  /** Takes a message at the QoS of this delivery; must not throw. */
  deliver(message: Message, qos: Qos, retain: boolean, identifiers: readonly number[]): void;
  /** Whether it may be given a topic. */
  mayReceive(topic: string): boolean;
}
