/**
 * The advisory locks of this project in a PostgreSQL database have two keys: this one, and a number for each kind of
 * content: 0 the schema, 1 the registry, 2 the sessions of a broker, 16 + N those of partition N of a cluster. They count
 * within one database.
 *
 * @module
 */

/** SQL: `flot` in ASCII, what fits. */
export const lockSpace = "x'666c6f74'::int";

/**
 * SQL: creates the schema, as the first statements of a transaction. Services that create their tables at the same time
 * wait for each other.
 */
export const schemaCreation = `SELECT pg_advisory_xact_lock(${lockSpace}, 0);
CREATE SCHEMA IF NOT EXISTS flotilla;`;
