/**
 * What a check of a state folder has found.
 *
 * @module
 */
import type { ErrorCode } from '../errors/catalogue.ts';
import { FlotillaError, messageOf } from '../errors/flotilla-error.ts';

/** One fault: its code says what it means and what to do. */
export interface StateFinding {
  readonly code: ErrorCode;
  /** The file or folder. */
  readonly path: string;
  /** What exactly is wrong; never a secret. */
  readonly detail: string;
}

/** Damage can repeat for every row of a table. */
const findingsMax = 1000;
const detailMaxChars = 500;

/** A bounded list of findings. */
export class FindingList {
  readonly #list: StateFinding[] = [];
  #omitted = 0;

  get list(): readonly StateFinding[] {
    return this.#list;
  }

  /** How many findings were not kept, because there were too many. */
  get omitted(): number {
    return this.#omitted;
  }

  /** All findings, also those that were not kept. */
  get count(): number {
    return this.#list.length + this.#omitted;
  }

  add(code: ErrorCode, path: string, detail: string): void {
    if (this.#list.length >= findingsMax) this.#omitted++;
    else this.#list.push({ code, path, detail: detail.slice(0, detailMaxChars) });
  }

  /** Adds all findings of another list. */
  addAll(other: FindingList): void {
    for (const { code, path, detail } of other.list) this.add(code, path, detail);
    this.#omitted += other.omitted;
  }

  /**
   * Adds what was thrown: an error of the catalogue with its own code, another one with the given code.
   */
  addError(error: unknown, path: string, otherwise: ErrorCode = 'file-inaccessible'): void {
    if (!(error instanceof FlotillaError)) {
      this.add(otherwise, path, messageOf(error));
      return;
    }
    const reasons = [error.detail ?? error.spec.title];
    for (let cause = error.cause; cause instanceof Error; cause = cause.cause) {
      reasons.push(
        cause instanceof FlotillaError ? (cause.detail ?? cause.message) : cause.message,
      );
    }
    this.add(error.code, path, [...new Set(reasons)].join(': '));
  }
}
