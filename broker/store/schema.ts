/**
 * The database schema of the durable store, with its application id and format version.
 *
 * @module
 */

/** `Flot`. SQLite stores it at byte 68 of the file header; it identifies the file. */
export const applicationId = 0x466c6f74;

/** Increased when the tables or the encoding of messages change. At byte 60 of the file header. */
export const formatVersion = 2;

/**
 * `message` columns contain a message in the format of `batch-format.ts`. A row of `queue` contains its
 * message, or refers to a row of `body` that several entries share; a released entry does neither.
 * `sequence` is unique in the store and increases with each insertion, so that appending is cheap.
 */
export const schema = `
CREATE TABLE session (
  id INTEGER PRIMARY KEY, client TEXT NOT NULL, identity TEXT NOT NULL, version INTEGER NOT NULL,
  expiry INTEGER NOT NULL, disconnected INTEGER, identity_created INTEGER) STRICT;
CREATE TABLE subscription (
  session INTEGER NOT NULL, filter TEXT NOT NULL, options INTEGER NOT NULL,
  identifier INTEGER NOT NULL, PRIMARY KEY (session, filter)) STRICT, WITHOUT ROWID;
CREATE TABLE incoming (
  session INTEGER NOT NULL, packet INTEGER NOT NULL,
  PRIMARY KEY (session, packet)) STRICT, WITHOUT ROWID;
CREATE TABLE queue (
  sequence INTEGER PRIMARY KEY, session INTEGER NOT NULL, state INTEGER NOT NULL,
  packet INTEGER NOT NULL, flags INTEGER NOT NULL, bytes INTEGER NOT NULL, body INTEGER,
  identifiers TEXT, message BLOB) STRICT;
CREATE TABLE body (id INTEGER PRIMARY KEY, message BLOB NOT NULL) STRICT;
CREATE TABLE retained (topic TEXT PRIMARY KEY, message BLOB NOT NULL) STRICT;
CREATE TABLE will (
  client TEXT PRIMARY KEY, identity TEXT NOT NULL, delay INTEGER NOT NULL, due INTEGER,
  message BLOB NOT NULL, identity_created INTEGER, fingerprint TEXT) STRICT;
`;

/** Statements that turn a file of each earlier format into one of the next. */
export const upgrades: ReadonlyMap<number, string> = new Map([
  [
    1,
    `ALTER TABLE session ADD COLUMN identity_created INTEGER;
     ALTER TABLE will ADD COLUMN identity_created INTEGER;
     ALTER TABLE will ADD COLUMN fingerprint TEXT;`,
  ],
]);
