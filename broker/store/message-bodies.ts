/**
 * The message contents that queue entries of the durable store refer to. A message that is queued for
 * many receivers in one batch is written once and shared by their entries.
 *
 * @module
 */
import { bodyMode, operation } from './batch-format.ts';
import type { Body } from './durable-queue.ts';
import type { StoredMessage } from './session-store.ts';
import type { StoreLink } from './store-link.ts';

export class MessageBodies {
  readonly #link: StoreLink;
  #lastRow = 0;
  /** The message that was queued last, and its body: the next receiver often gets the same one. */
  #message: StoredMessage | undefined;
  #body: Body | undefined;

  constructor(link: StoreLink) {
    this.#link = link;
  }

  /** Continues after the rows of an earlier run. */
  restore(lastRow: number): void {
    this.#lastRow = lastRow;
  }

  /** References the body of a message, and writes it unless it is the last one of the open batch. */
  reference(message: StoredMessage): Body {
    const last = this.#body;
    if (
      last !== undefined &&
      this.#message === message &&
      last.batch === this.#link.batch &&
      last.references > 0
    ) {
      last.references++;
      if (!last.shared) {
        last.shared = true;
        this.#link.written.patchU8(last.at + 1, bodyMode.shared);
      }
      return last;
    }
    const batch = this.#link.open;
    const at = batch.length;
    const row = ++this.#lastRow;
    batch.u8(operation.body);
    batch.u8(bodyMode.inline);
    batch.f64(row);
    batch.message(message);
    const body: Body = { row, references: 1, shared: false, batch: this.#link.batch, at };
    this.#message = message;
    this.#body = body;
    return body;
  }

  /** Releases one reference. A body without references is deleted. */
  release(body: Body): void {
    if (--body.references > 0) return;
    if (body.batch === this.#link.batch) {
      this.#link.written.patchU8(body.at + 1, bodyMode.none);
    } else if (body.shared) {
      const batch = this.#link.open;
      batch.u8(operation.deleteBody);
      batch.f64(body.row);
    }
  }
}
