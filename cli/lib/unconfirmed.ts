/**
 * A revocation that a broker has not confirmed: it is stored, but the device may still be connected.
 *
 * @module
 */
import type { Output } from './output.ts';

/** The exit code of a revocation that is stored and not confirmed by every broker. */
const unconfirmedExit = 4;

/**
 * Reports brokers that have not confirmed a revocation.
 *
 * @returns the exit code of the command: 0 when all have confirmed it
 */
export function reportUnconfirmed(brokers: readonly string[] | undefined, out: Output): number {
  if (brokers === undefined || brokers.length === 0) return 0;
  const names = brokers.join(', ');
  const text =
    `NOT CONFIRMED by ${names}: revoked devices may still be connected there. The revocation is stored and takes ` +
    'effect when the broker is reachable again. Check it with flotilla status.';
  out.warn(out.style.color('red', text));
  return unconfirmedExit;
}
