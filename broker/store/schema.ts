/**
 * The database of the durable store: its tables, its mark and its version.
 *
 * @module
 */

/** `Flot`: stands in the file's header at byte 68 and says whose file it is. */
export const applicationId = 0x466c6f74;

/** Grows when the tables, or the encoding of messages, change. Stands in the header at byte 60. */
export const formatVersion = 1;

/**
 * `message` columns hold a message as `batch-format.ts` encodes it. An entry of `queue` holds its
 * message itself, or names the row of `body` that several entries share; a released one neither.
 * `sequence` is unique in the store, so that its order is the order of insertion: appending is cheap.
 */
export const schema = `
CREATE TABLE session (
  id INTEGER PRIMARY KEY, client TEXT NOT NULL, identity TEXT NOT NULL, version INTEGER NOT NULL,
  expiry INTEGER NOT NULL, disconnected INTEGER) STRICT;
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
  message BLOB NOT NULL) STRICT;
`;
