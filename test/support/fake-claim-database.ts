/**
 * A database of claims that answers transactions when a test says so.
 *
 * @module
 */
import {
  fencedState,
  heartbeatStatement,
  joinStatement,
  transactionsStatement,
} from '../../broker/cluster/ownership-tables.ts';
import type { ClaimDatabase } from './claim-database.ts';
import { until } from './until.ts';

/** A statement with transactions that has no answer yet. */
export interface HeldStatement {
  readonly number: unknown;
  readonly transactions: readonly Readonly<Record<string, unknown>>[];
  /** Answers with one reply for each transaction. */
  answer(...replies: object[]): void;
  fail(error: Error): void;
}

export class FakeClaimDatabase implements ClaimDatabase {
  readonly held: HeldStatement[] = [];
  /** Sends a notification to the broker. */
  notify: (text: string) => void = () => undefined;
  canJoin = true;
  /** Whether statements other than transactions get an answer. */
  answers = true;
  #incarnations = 0;

  // A cast in place of the database: the statements name their columns.
  async query<Row extends object>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
    return (await this.#rows(text, values)) as Row[];
  }

  listen(_channel: string, notified: (text: string) => void): Promise<void> {
    this.notify = notified;
    return Promise.resolve();
  }

  /** The next statement with transactions. */
  async next(): Promise<HeldStatement> {
    await until('there are transactions', () => this.held.length > 0);
    return this.held.shift()!;
  }

  async #rows(text: string, values: readonly unknown[]): Promise<object[]> {
    if (text === transactionsStatement) return this.#hold(values);
    if (!this.answers) return new Promise(() => undefined);
    if (text === joinStatement) {
      if (!this.canJoin) throw new Error('the database is away');
      return [{ number: String(++this.#incarnations) }];
    }
    if (text === heartbeatStatement) return [{ number: String(this.#incarnations) }];
    if (text.includes('to_regclass')) return [{ found: true }];
    return text.includes('SELECT format') ? [{ format: 1 }] : [];
  }

  #hold([, number, requests]: readonly unknown[]): Promise<object[]> {
    return new Promise((resolve, reject) => {
      this.held.push({
        number,
        transactions: JSON.parse(String(requests)) as HeldStatement['transactions'],
        answer: (...replies) => resolve(replies.map((reply, place) => ({ place, reply }))),
        fail: reject,
      });
    });
  }
}

/** What the database answers to a fenced incarnation. */
export function fencedError(): Error {
  return Object.assign(new Error('fenced'), { code: fencedState });
}
