/** Errors of certs. @module */
import { errors } from './error-spec.ts';

export const certsErrors = errors({});
