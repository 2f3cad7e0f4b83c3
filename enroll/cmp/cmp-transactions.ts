/**
 * Transactions of CMP: what the service remembers between the messages of one client (RFC 9483, 3.1, 3.5).
 *
 * They are in memory. Only requests that were granted, or that wait, make one; a client whose transaction is gone
 * begins again, and gets the certificate that was issued, or the decision that was made.
 *
 * @module
 */
import { timingSafeEqual } from 'node:crypto';
import type { CmpHeader } from '../../certs/cmp-message.ts';
import type { CmpRequestId } from '../../certs/cmp-body.ts';
import type { Csr } from '../../certs/csr.ts';
import { AgeMap } from '../../core/age-map.ts';
import type { Clock } from '../../core/clock.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { IssueResult } from '../enrollment/issue-result.ts';

/** Longer than messages are accepted after their time, so that a recorded one finds its transaction. */
const keptMs = 60 * 60_000;
/** About 3 KB each. */
const transactionsMax = 10_000;
/** Of one sender: a token may be the one of a whole production line. */
const transactionsPerSenderMax = transactionsMax / 10;

export interface CmpTransaction {
  /** Who began it: the name of a token, or the fingerprint of a certificate. */
  readonly sender: string;
  readonly reply: 'ip' | 'cp' | 'kup';
  readonly requestId: CmpRequestId;
  readonly csr: Csr;
  readonly profile: string | undefined;
  readonly implicitConfirm: boolean;
  stage:
    | { readonly kind: 'waiting' }
    | { readonly kind: 'unconfirmed'; readonly result: IssueResult }
    | { readonly kind: 'done' };
  /** The nonce of the last response. */
  nonce: Buffer;
}

interface Kept {
  readonly transaction: CmpTransaction;
  endsAtMs: number;
}

export class CmpTransactions {
  readonly #clock: Clock;
  /** By transactionID, the ones that were used last at the end. */
  readonly #kept = new AgeMap<string, Kept>();
  /** How many each sender has. */
  readonly #counts = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The first message of a transaction needs a new id. @throws FlotillaError `cmp-transaction-used` */
  assertNew({ transactionId }: CmpHeader): void {
    if (this.#find(transactionId) !== undefined) throw new FlotillaError('cmp-transaction-used');
  }

  /** @throws FlotillaError `cmp-transaction-used`: another message was faster */
  begin(header: CmpHeader, transaction: CmpTransaction): void {
    this.assertNew(header);
    const { sender } = transaction;
    const isOverShare = (this.#counts.get(sender) ?? 0) >= transactionsPerSenderMax;
    if (isOverShare) this.#dropOldestOf(sender);
    else if (this.#kept.size >= transactionsMax) this.#dropOldest();
    this.#keep(header.transactionId, transaction);
  }

  /**
   * The transaction that a message continues.
   *
   * @throws FlotillaError `cmp-transaction-unknown`: there is none, another client began it, or the message does not
   *   respond to the last response
   */
  follow({ transactionId, recipientNonce }: CmpHeader, sender: string): CmpTransaction {
    const transaction = this.#find(transactionId);
    if (transaction?.sender !== sender) throw new FlotillaError('cmp-transaction-unknown');
    const { nonce } = transaction;
    if (recipientNonce?.length !== nonce.length || !timingSafeEqual(recipientNonce, nonce)) {
      throw new FlotillaError('cmp-transaction-unknown', { detail: 'recipNonce' });
    }
    this.#keep(transactionId, transaction);
    return transaction;
  }

  #find(id: Buffer): CmpTransaction | undefined {
    const key = id.toString('hex');
    const found = this.#kept.get(key);
    if (found === undefined) return undefined;
    if (found.endsAtMs > this.#clock.monotonicMs()) return found.transaction;
    this.#drop(key);
    return undefined;
  }

  #dropOldest(): void {
    const oldest = this.#kept.oldestKey();
    if (oldest !== undefined) this.#drop(oldest);
  }

  #dropOldestOf(sender: string): void {
    for (const [key, { transaction }] of this.#kept) {
      if (transaction.sender !== sender) continue;
      this.#drop(key);
      return;
    }
  }

  #drop(key: string): void {
    const sender = this.#kept.get(key)?.transaction.sender;
    if (sender === undefined) return;
    this.#kept.delete(key);
    const left = (this.#counts.get(sender) ?? 1) - 1;
    if (left === 0) this.#counts.delete(sender);
    else this.#counts.set(sender, left);
  }

  #keep(id: Buffer, transaction: CmpTransaction): void {
    const key = id.toString('hex');
    this.#drop(key);
    const { sender } = transaction;
    this.#counts.set(sender, (this.#counts.get(sender) ?? 0) + 1);
    this.#kept.set(key, { transaction, endsAtMs: this.#clock.monotonicMs() + keptMs });
  }
}
