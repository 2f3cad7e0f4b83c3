/** Errors of sim. @module */
import { errors } from './error-spec.ts';

export const simErrors = errors({});
