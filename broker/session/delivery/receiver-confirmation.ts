/**
 * What another partition confirms later: that it has made a message durable, or knows a subscription. The
 * acknowledgement of the client waits for the commit of the own store and for each such confirmation.
 *
 * Messages or subscriptions that are confirmed together can have the same object. Every object must be completed: with
 * {@link ReceiverConfirmation.confirm} if nothing is lost, otherwise with {@link ReceiverConfirmation.fail}.
 *
 * @module
 */
import { FlotillaError } from '../../../core/errors/flotilla-error.ts';
import type { SessionStore } from '../../store/session-store.ts';

/** Something that waits for confirmations. */
export interface ConfirmationWaiter {
  /** @param failed it will not be confirmed any more */
  onConfirmation(confirmation: ReceiverConfirmation, failed: boolean): void;
}

export class ReceiverConfirmation {
  #state: 'open' | 'confirmed' | 'failed' = 'open';
  readonly #waiters = new Set<ConfirmationWaiter>();

  /** Whether it is not completed yet. */
  get isOpen(): boolean {
    return this.#state === 'open';
  }

  get hasFailed(): boolean {
    return this.#state === 'failed';
  }

  /** How many wait for it. */
  get waiters(): number {
    return this.#waiters.size;
  }

  /** Nothing is lost any more. Later calls have no effect. */
  confirm(): void {
    this.#complete('confirmed');
  }

  /** Messages may be lost: they must not be acknowledged. Later calls have no effect. */
  fail(): void {
    this.#complete('failed');
  }

  /** Calls a waiter once, when this is completed. To be called only while it is open. */
  add(waiter: ConfirmationWaiter): void {
    this.#waiters.add(waiter);
  }

  /** The waiter is not called any more. */
  remove(waiter: ConfirmationWaiter): void {
    this.#waiters.delete(waiter);
  }

  #complete(state: 'confirmed' | 'failed'): void {
    if (!this.isOpen) return;
    this.#state = state;
    // A waiter may remove others while it is called: the iteration does not visit them.
    for (const waiter of this.#waiters) {
      this.#waiters.delete(waiter);
      waiter.onConfirmation(this, state === 'failed');
    }
  }
}

/**
 * Calls back once when everything that was put in the store before is committed and everything is
 * confirmed. An error of the store, or `delivery-unconfirmed`, is passed to the callback.
 */
export function afterConfirmations(
  store: Pick<SessionStore, 'afterCommit'>,
  confirmations: readonly ReceiverConfirmation[],
  call: (error?: FlotillaError) => void,
): void {
  store.afterCommit((error) => {
    if (error !== undefined || confirmations.length === 0) call(error);
    else waitForAll(confirmations, call);
  });
}

function waitForAll(
  confirmations: readonly ReceiverConfirmation[],
  call: (error?: FlotillaError) => void,
): void {
  const open = new Set(confirmations.filter(({ isOpen }) => isOpen));
  if (confirmations.some(({ hasFailed }) => hasFailed)) {
    call(new FlotillaError('delivery-unconfirmed'));
    return;
  }
  if (open.size === 0) {
    call();
    return;
  }
  const waiter: ConfirmationWaiter = {
    onConfirmation(confirmation, failed) {
      open.delete(confirmation);
      if (failed) {
        for (const one of open) one.remove(waiter);
        call(new FlotillaError('delivery-unconfirmed'));
      } else if (open.size === 0) call();
    },
  };
  for (const one of open) one.add(waiter);
}
