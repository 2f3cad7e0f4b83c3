/**
 * The one kind of error that a person can meet.
 *
 * @module
 */
import { catalogue, type ErrorCode, type ErrorSpec } from './catalogue.ts';

export interface ErrorOptions {
  /** What exactly was wrong here: names and numbers, never a secret. */
  readonly detail?: string;
  readonly cause?: unknown;
  /** For HTTP: when the caller may try again. */
  readonly retryAfterSeconds?: number;
}

/** An error out of the catalogue: what happened, where, and what to do next. */
export class FlotillaError extends Error {
  readonly code: ErrorCode;
  readonly detail: string | undefined;
  readonly retryAfterSeconds: number | undefined;

  constructor(code: ErrorCode, options: ErrorOptions = {}) {
    const { title, advice } = catalogue[code];
    const where = options.detail === undefined ? '' : `: ${options.detail}`;
    const end = where.endsWith('?') ? '' : '.';
    super(
      `${title}${where}${end} ${advice}`,
      options.cause === undefined ? {} : { cause: options.cause },
    );
    this.name = 'FlotillaError';
    this.code = code;
    this.detail = options.detail;
    this.retryAfterSeconds = options.retryAfterSeconds;
  }

  get spec(): ErrorSpec {
    return catalogue[this.code];
  }
}

/** Whether an unknown thing is a {@link FlotillaError}, of one code if one is given. */
export function isFlotillaError(error: unknown, code?: ErrorCode): error is FlotillaError {
  return error instanceof FlotillaError && (code === undefined || error.code === code);
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
