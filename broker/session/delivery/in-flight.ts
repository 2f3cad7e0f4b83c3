/**
 * The state of a delivery that was sent and is not fully acknowledged.
 *
 * @module
 */

export interface InFlight {
  /** Its number in the queue of the store; 0 if it is not in the store. */
  readonly sequence: number;
  readonly qos: 1 | 2;
  /** Whether PUBREC was received, so that PUBCOMP is what comes next. */
  readonly released: boolean;
}

/** The outcome of an acknowledgement: `wrong-kind` is one that does not fit the delivery's QoS. */
export type AckResult = 'done' | 'unknown' | 'wrong-kind';

// Deliveries that are not in the store differ only in these: they share three objects.
const unstoredQos1: InFlight = { sequence: 0, qos: 1, released: false };
const unstoredQos2: InFlight = { sequence: 0, qos: 2, released: false };
const unstoredReleased: InFlight = { sequence: 0, qos: 2, released: true };

/** A delivery that was just sent. */
export function sentInFlight(sequence: number, qos: 1 | 2): InFlight {
  if (sequence === 0) return qos === 1 ? unstoredQos1 : unstoredQos2;
  return { sequence, qos, released: false };
}

/** A QoS 2 delivery whose PUBREC was received. */
export function releasedInFlight(sequence: number): InFlight {
  return sequence === 0 ? unstoredReleased : { sequence, qos: 2, released: true };
}
