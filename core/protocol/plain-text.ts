/**
 * The schema of texts that people give to devices: groups, names and values of attributes.
 *
 * @module
 */
import { z } from 'zod';
import { unprintable } from '../escape.ts';

/** A text without control characters and direction marks, which could deceive a reader or control a terminal. */
export function plainText(minChars: number, maxChars: number): z.ZodString {
  return z
    .string()
    .min(minChars)
    .max(maxChars)
    .refine((text) => !unprintable.test(text), {
      error: 'control characters and direction marks are not allowed',
    });
}
