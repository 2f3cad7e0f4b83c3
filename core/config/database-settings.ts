/**
 * Settings of a PostgreSQL database: that of the registry, and that of the sessions of the broker.
 *
 * @module
 */
import { z } from 'zod';
import { messageOf } from '../errors/flotilla-error.ts';
import { parseDatabaseUrl } from './database-url.ts';

/** @param description of the database itself */
export function databaseSettings(
  description: string,
): Record<'database' | 'databasePasswordFile' | 'databaseCaFile', z.ZodOptional<z.ZodString>> {
  return {
    database: z
      .string()
      .max(2000)
      .superRefine((text, context) => {
        try {
          parseDatabaseUrl(text);
        } catch (error) {
          context.addIssue({ code: 'custom', message: messageOf(error) });
        }
      })
      .optional()
      .describe(description),
    databasePasswordFile: z
      .string()
      .min(1)
      .optional()
      .describe(
        'The file with the password for the database, readable by its owner only (default: PGPASSFILE).',
      ),
    databaseCaFile: z
      .string()
      .min(1)
      .optional()
      .describe(
        'PEM file with the CAs that are trusted for the database (default: the system store).',
      ),
  };
}
