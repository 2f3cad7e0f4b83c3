/**
 * Settings of the database that holds the registry.
 *
 * @module
 */
import { z } from 'zod';
import { messageOf } from '../errors/flotilla-error.ts';
import { parseDatabaseUrl } from './database-url.ts';

export const databaseSettings = {
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
    .describe(
      'A PostgreSQL database for registry and audit log, like postgres://flotilla@db1,db2/flotilla?sslmode=verify-full, so that a second instance can take over (docs/cluster.md). By default they are files of the state folder.',
    ),
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
