/** Errors of cli. @module */
import { errors } from './error-spec.ts';

export const cliErrors = errors({});
