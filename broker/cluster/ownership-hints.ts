/**
 * Notifications between brokers that share their claims. They are only hints to look at a row earlier: a hint that is
 * lost, late, repeated or wrong does no harm, so that hints beyond a limit are dropped.
 *
 * @module
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { DatabaseConnection } from '../../core/database/database-connection.ts';
import { notifyStatement } from './ownership-tables.ts';

/** PostgreSQL refuses notifications of 8,000 bytes. A longer hint is not sent. */
const hintMaxBytes = 7000;
/** Hints that wait for the statement before. Further ones are dropped. */
const queuedHintsMax = 1000;

const hintSchema = z.strictObject({
  /** The client id. */
  client: z.string().min(1),
  /** The epoch of the owner, which has to check in. Undefined: the session is free, and a waiting claim asks again. */
  epoch: z.int().nonnegative().optional(),
});

export type OwnershipHint = z.infer<typeof hintSchema>;

/** @returns undefined if the text is not a hint: any user of the database can send one */
export function parseOwnershipHint(text: string): OwnershipHint | undefined {
  try {
    return hintSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

/** The channel of the notifications to a node. Its name is short and plain, whatever the name of the node is. */
export function hintChannel(node: string): string {
  return `flotilla_${createHash('sha256').update(node).digest('hex').slice(0, 32)}`;
}

export class OwnershipHints {
  readonly #database: Pick<DatabaseConnection, 'query'>;
  #channels: string[] = [];
  #texts: string[] = [];
  #isSending = false;

  constructor(database: Pick<DatabaseConnection, 'query'>) {
    this.#database = database;
  }

  /** Sends a hint, if there is room. Those that come while a statement is under way are sent in the next one. */
  send(node: string, hint: OwnershipHint): void {
    const text = JSON.stringify(hint);
    if (this.#texts.length >= queuedHintsMax || Buffer.byteLength(text) > hintMaxBytes) return;
    this.#channels.push(hintChannel(node));
    this.#texts.push(text);
    if (!this.#isSending) void this.#sendQueued();
  }

  async #sendQueued(): Promise<void> {
    this.#isSending = true;
    while (this.#texts.length > 0) {
      const values = [this.#channels, this.#texts];
      this.#channels = [];
      this.#texts = [];
      // A lost hint does no harm, and the failure is reported by the statements that matter.
      await this.#database.query(notifyStatement, values).catch(() => undefined);
    }
    this.#isSending = false;
  }
}
