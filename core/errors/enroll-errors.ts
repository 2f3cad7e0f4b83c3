/** Errors of enroll. @module */
import { errors } from './error-spec.ts';

export const enrollErrors = errors({});
