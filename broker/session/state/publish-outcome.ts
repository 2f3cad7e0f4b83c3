/**
 * What became of a published message, and what its acknowledgement must wait for.
 *
 * @module
 */
import type { RetainRefusal } from '../../store/session-store.ts';
import type { ReceiverConfirmation } from '../delivery/receiver-confirmation.ts';

export interface PublishOutcome {
  /**
   * Whether an acknowledgement must wait for the commit: the message was put in the store, as a retained
   * message or for a receiver, or a receiver may have put it there.
   */
  readonly stored: boolean;
  /**
   * Set if there was no room for the retained message, in all or for this identity. Receivers got it all
   * the same.
   */
  readonly refusal: RetainRefusal | undefined;
  /** What other partitions confirm later: only of a retained message; undefined: nothing. */
  readonly confirmations: readonly ReceiverConfirmation[] | undefined;
}

/** Nothing was put in the store: an acknowledgement may leave at once. */
export const routed: PublishOutcome = outcomeOf(false, undefined);
export const stored: PublishOutcome = outcomeOf(true, undefined);

const refused = {
  'retained-full': outcomeOf(true, 'retained-full'),
  'retained-share-full': outcomeOf(true, 'retained-share-full'),
} as const satisfies Record<RetainRefusal, PublishOutcome>;

/** The outcome of retaining a message. @param refusal why there was no room */
export function retainOutcome(refusal: RetainRefusal | undefined): PublishOutcome {
  return refusal === undefined ? stored : refused[refusal];
}

function outcomeOf(stored: boolean, refusal: RetainRefusal | undefined): PublishOutcome {
  return Object.freeze({ stored, refusal, confirmations: undefined });
}
