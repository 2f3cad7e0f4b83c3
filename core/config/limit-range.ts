/**
 * The form of a limit: a whole number with bounds, a default and a description.
 *
 * @module
 */
import { z } from 'zod';

/** Bytes. */
export const kib = 1024;
export const mib = 1024 * kib;

/** A whole number within bounds. */
interface Range {
  readonly defaultValue: number;
  readonly min: number;
  readonly max: number;
  /** For docs/configuration.md. */
  readonly description: string;
}

/** The schema of a limit. */
export const wholeNumber = ({
  defaultValue,
  min,
  max,
  description,
}: Range): z.ZodDefault<z.ZodInt> =>
  z.int().min(min).max(max).default(defaultValue).describe(description);
