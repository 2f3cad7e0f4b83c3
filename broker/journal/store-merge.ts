/**
 * Adds the content of store files to one file: sessions, entries and shared contents get numbers that are free there.
 * What partitions keep for each other is left out.
 *
 * @module
 */
import type { DatabaseSync } from 'node:sqlite';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { peerIdPrefix } from '../session/state/peer-id.ts';

/** SQL: the sessions of clients among those of the added file. */
const isClient = `substr(client, 1, ${peerIdPrefix.length}) <> '${peerIdPrefix}'`;
/** SQL: the state of an entry whose message the receiver has stored. */
const released = 2;

/** What waits in one partition for another one. */
export interface UndeliveredMessages {
  readonly peer: string;
  readonly messages: number;
}

export class StoreMerge {
  readonly #database: DatabaseSync;

  /** @param database an open file of the current format, without a transaction */
  constructor(database: DatabaseSync) {
    this.#database = database;
    database.exec('CREATE TEMP TABLE moved (former INTEGER PRIMARY KEY, number INTEGER NOT NULL)');
  }

  /**
   * Adds a file that nobody has open.
   *
   * @param keepsRetained whether the retained message of a topic is taken from this file
   * @returns what waits for other partitions: it is not added
   * @throws FlotillaError `export-client-id-twice`
   */
  add(path: string, keepsRetained: (topic: string) => boolean): readonly UndeliveredMessages[] {
    const database = this.#database;
    database.prepare('ATTACH ? AS source').run(path);
    try {
      database.exec('BEGIN');
      this.#assertClientIds();
      const [found] = database.prepare(highest).all();
      const { session, sequence, body } = found ?? {};
      database.exec(copying(Number(session), Number(sequence), Number(body)));
      this.#addRetained(keepsRetained);
      const undelivered = this.#undelivered();
      database.exec('COMMIT');
      return undelivered;
    } finally {
      if (database.isTransaction) database.exec('ROLLBACK');
      database.exec('DETACH source');
    }
  }

  /** The client ids of different identities are not the same in one store. */
  #assertClientIds(): void {
    const [twice] = this.#database.prepare(clientIdTwice).all();
    if (twice === undefined) return;
    throw new FlotillaError('export-client-id-twice', {
      detail: `client id ${JSON.stringify(String(twice['client']).slice(0, 128))}`,
    });
  }

  #addRetained(keepsRetained: (topic: string) => boolean): void {
    const found = this.#database.prepare('SELECT topic, message FROM source.retained');
    const put = this.#database.prepare('INSERT INTO main.retained VALUES (?, ?)');
    for (const { topic, message } of found.iterate()) {
      if (keepsRetained(String(topic)) && message !== undefined) put.run(String(topic), message);
    }
  }

  #undelivered(): readonly UndeliveredMessages[] {
    return this.#database
      .prepare(undelivered)
      .all()
      .map(({ client, messages }) => ({
        peer: String(client).slice(peerIdPrefix.length),
        messages: Number(messages),
      }));
  }
}

const clientIdTwice = `SELECT client FROM (
    SELECT client FROM source.session WHERE ${isClient} UNION SELECT client FROM source.will)
  WHERE client IN (SELECT client FROM main.session UNION SELECT client FROM main.will) LIMIT 1`;

const undelivered = `SELECT client, count(*) AS messages
  FROM source.session JOIN source.queue ON queue.session = session.id
  WHERE NOT ${isClient} AND state <> ${released} GROUP BY client`;

/** The highest numbers of the file, to which those of the added file are added. */
const highest = `SELECT
  (SELECT coalesce(max(id), 0) FROM main.session) AS session,
  (SELECT coalesce(max(sequence), 0) FROM main.queue) AS sequence,
  (SELECT coalesce(max(id), 0) FROM main.body) AS body`;

/** The columns are those of broker/store/schema.ts. */
const copying = (session: number, sequence: number, body: number): string => `
DELETE FROM temp.moved;
INSERT INTO temp.moved
  SELECT id, row_number() OVER (ORDER BY id) + ${session} FROM source.session WHERE ${isClient};
INSERT INTO main.session
  SELECT moved.number, client, identity, version, expiry, disconnected, identity_created
  FROM source.session JOIN temp.moved ON moved.former = session.id;
INSERT INTO main.subscription
  SELECT moved.number, filter, options, identifier
  FROM source.subscription JOIN temp.moved ON moved.former = subscription.session;
INSERT INTO main.incoming
  SELECT moved.number, packet FROM source.incoming JOIN temp.moved ON moved.former = incoming.session;
INSERT INTO main.queue
  SELECT sequence + ${sequence}, moved.number, state, packet, flags, bytes, body + ${body}, identifiers,
    message
  FROM source.queue JOIN temp.moved ON moved.former = queue.session;
INSERT INTO main.body
  SELECT id + ${body}, message FROM source.body
  WHERE id IN (SELECT body FROM source.queue JOIN temp.moved ON moved.former = queue.session);
INSERT INTO main.will
  SELECT client, identity, delay, due, message, identity_created, fingerprint FROM source.will;`;
