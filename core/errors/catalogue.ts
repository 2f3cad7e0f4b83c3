/**
 * The error catalogue: every error that a person can meet, by its stable code. A test holds it
 * against docs/errors.md.
 *
 * @module
 */
import { brokerErrors } from './broker-errors.ts';
import { certsErrors } from './certs-errors.ts';
import { cliErrors } from './cli-errors.ts';
import { cmpErrors } from './cmp-errors.ts';
import { coreErrors } from './core-errors.ts';
import { databaseErrors } from './database-errors.ts';
import { enrollErrors } from './enroll-errors.ts';
import type { ErrorSpec } from './error-spec.ts';
import { simErrors } from './sim-errors.ts';
import { storeErrors } from './store-errors.ts';

const tables = {
  ...coreErrors,
  ...certsErrors,
  ...enrollErrors,
  ...databaseErrors,
  ...cmpErrors,
  ...brokerErrors,
  ...storeErrors,
  ...simErrors,
  ...cliErrors,
};

export type ErrorCode = keyof typeof tables;
export type { ErrorSpec } from './error-spec.ts';

export const catalogue: Readonly<Record<ErrorCode, ErrorSpec>> = tables;

/** Whether a text is a code of the catalogue. */
export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(catalogue, text);
}
