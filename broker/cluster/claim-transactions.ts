/**
 * The transactions of one broker on the rows of the sessions: all that begin in one turn of the event loop are one
 * statement, and one statement is under way at a time.
 *
 * @module
 */
import { setImmediate as afterTurn } from 'node:timers';
import type { DatabaseConnection } from '../../core/database/database-connection.ts';
import { catalogue, type ErrorCode } from '../../core/errors/catalogue.ts';
import type {
  ClaimRequest,
  OpenConnection,
  PresenceFacts,
  PreviousConnection,
} from '../contracts/session-claims.ts';
import { openConnectionOf } from '../session/state/open-connection.ts';
import type { ClaimReply, Incarnation } from './ownership-row.ts';
import { fencedState, transactionsStatement } from './ownership-tables.ts';
import type { Transaction } from './session-ownership.ts';

/** Transactions in one statement. */
const batchMax = 500;

/** What the database adds to a granted claim. */
export interface GrantFacts {
  readonly version: number;
  readonly previous?: PreviousConnection | undefined;
}

/** The reply to a release or check-in, whether it changed the row or not. */
export interface WrittenReply {
  readonly kind: 'written';
  readonly version: number;
  /** A connection of the identity that is open. */
  readonly other: OpenConnection | null;
  /** The node that waits for the session. */
  readonly transferTo: string | null;
}

/** The claim is against a limit or right. `code`: of the error catalogue. */
interface RefusedReply {
  readonly kind: 'refused';
  readonly code: string;
}

export type TransactionReply = (ClaimReply & Partial<GrantFacts>) | RefusedReply | WrittenReply;

export interface QueuedTransaction {
  readonly clientId: string;
  readonly identityId: string;
  readonly transaction: Transaction;
  /** Of a claim. */
  readonly request?: ClaimRequest | undefined;
  /** Called once with the reply; undefined if the statement failed, and may still be committed. */
  readonly replied: (reply: TransactionReply | undefined) => void;
}

export interface ClaimTransactionsDeps {
  readonly database: Pick<DatabaseConnection, 'query'>;
  /** The current incarnation, when it is known. */
  incarnation(): Promise<Incarnation>;
  /** The incarnation is fenced. Resolves when there is another one, or none could begin. */
  fenced(): Promise<void>;
  failed(error: unknown, message: string): void;
}

/** The queue has no limit of its own: its user adds one transaction for each client id, and one for each release. */
export class ClaimTransactions {
  readonly #deps: ClaimTransactionsDeps;
  #queued: QueuedTransaction[] = [];
  #isSending = false;
  #isScheduled = false;
  #isClosed = false;

  constructor(deps: ClaimTransactionsDeps) {
    this.#deps = deps;
  }

  /** How many wait for a statement. */
  get queued(): number {
    return this.#queued.length;
  }

  /** Sends a transaction at the end of this turn, or after the statement that is under way. */
  add(transaction: QueuedTransaction): void {
    this.#queued.push(transaction);
    if (this.#isScheduled || this.#isSending) return;
    this.#isScheduled = true;
    afterTurn(() => {
      this.#isScheduled = false;
      this.resume();
    });
  }

  /** Sends what is queued. After a statement has failed, nothing is sent until this is called. */
  resume(): void {
    if (this.#isSending || this.#isClosed || this.#queued.length === 0) return;
    void this.#sendQueued().catch((error: unknown) =>
      this.#deps.failed(error, 'could not write claims'),
    );
  }

  /** Everything that is queued has failed. */
  fail(): void {
    for (const { replied } of this.#queued.splice(0)) replied(undefined);
  }

  /** Nothing is sent any more, and everything that is queued has failed. */
  close(): void {
    this.#isClosed = true;
    this.fail();
  }

  async #sendQueued(): Promise<void> {
    this.#isSending = true;
    try {
      while (this.#queued.length > 0) {
        const incarnation = await this.#deps.incarnation();
        if (this.#isClosed) return;
        const batch = this.#queued.splice(0, batchMax);
        const replies = await this.#run(incarnation, batch);
        batch.forEach(({ replied }, place) => replied(replies?.[place]));
        if (replies === undefined) return;
      }
    } finally {
      this.#isSending = false;
    }
  }

  async #run(
    { node, number }: Incarnation,
    batch: readonly QueuedTransaction[],
  ): Promise<readonly TransactionReply[] | undefined> {
    const requests = JSON.stringify(batch.map(transactionRequest));
    try {
      const rows = await this.#deps.database.query<{ place: number; reply: TransactionReply }>(
        transactionsStatement,
        [node, number, requests],
      );
      const replies: TransactionReply[] = [];
      for (const { place, reply } of rows) replies[place] = reply;
      return replies;
    } catch (error) {
      if (isFenced(error)) await this.#deps.fenced();
      else this.#deps.failed(error, 'could not write claims');
      return undefined;
    }
  }
}

/** @param node the node that has asked: its own connections have no broker in the facts */
export function presenceFacts({ other, version }: WrittenReply, node: string): PresenceFacts {
  if (other === null) return { other: undefined, version };
  return { other: { ...other, broker: other.broker === node ? undefined : other.broker }, version };
}

/** A code that this version does not know is `internal`. */
export function refusalCode({ code }: RefusedReply): ErrorCode {
  return isErrorCode(code) ? code : 'internal';
}

function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(catalogue, code);
}

/** What the function of the database reads. */
function transactionRequest(queued: QueuedTransaction): object {
  const { clientId, identityId, transaction, request } = queued;
  const common = { ...transaction, client: clientId, identity: identityId };
  if (request === undefined) return common;
  const { isAssigned, connectionsMax } = request;
  const connection = { ...openConnectionOf(request.connection), clientId };
  return { ...common, isAssigned, connectionsMax, connection };
}

function isFenced(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === fencedState;
}
