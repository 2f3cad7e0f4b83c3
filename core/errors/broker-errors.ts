/** Errors of broker. @module */
import { errors } from './error-spec.ts';

export const brokerErrors = errors({});
