/**
 * A restriction that a broker has not confirmed: it is stored, but devices may still be connected there.
 *
 * @module
 */
import type { Output } from './output.ts';

/**
 * The exit code of a restriction that is stored and not confirmed by every broker that may have connections: one that does
 * not respond, or one that is registered and not connected, because nobody knows whether it stopped or only its network is
 * cut. Without any registered broker, nothing can be connected, and the exit code is 0.
 */
export const unconfirmedExit = 4;

/** How the brokers responded to a change. */
export interface Confirmation {
  /** How many brokers were connected to the enrollment service. */
  readonly brokers?: number | undefined;
  /** Those of them that have not confirmed it. */
  readonly brokersUnconfirmed?: readonly string[] | undefined;
  /** Brokers that are registered and not connected now. */
  readonly brokersAbsent?: readonly string[] | undefined;
}

/**
 * Reports brokers that have not confirmed a change.
 *
 * @returns the exit code of the command: 0 when each known broker has confirmed it
 */
export function reportUnconfirmed(confirmation: Confirmation, out: Output): number {
  const { brokers, brokersUnconfirmed: late = [], brokersAbsent: absent = [] } = confirmation;
  const applies = 'The change is stored and takes effect when the broker is reachable again.';
  if (absent.length > 0) {
    out.warn(
      out.style.color(
        'red',
        `NOT CONFIRMED by ${absent.join(', ')}, not connected to the enrollment service: the devices may still be connected there. ${applies} If it will not come back, remove it with flotilla service revoke.`,
      ),
    );
  } else if (brokers === 0) {
    out.warn(
      out.style.color(
        'yellow',
        'No broker has confirmed it, because none is registered. A broker applies the change when it connects.',
      ),
    );
  }
  if (late.length === 0) return absent.length === 0 ? 0 : unconfirmedExit;
  const text =
    `NOT CONFIRMED by ${late.join(', ')}: the devices may still be connected there. ${applies} ` +
    'Check it with flotilla status.';
  out.warn(out.style.color('red', text));
  return unconfirmedExit;
}
