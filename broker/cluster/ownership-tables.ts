/**
 * The tables of brokers that share their sessions, and the function that runs all transactions of one turn of a broker
 * in one statement. Each transaction changes a row as `ownership-row.ts` states.
 *
 * Rows are locked in the same order everywhere (node, identities, client ids), so that brokers do not wait for each
 * other in a circle. The row of the own node is locked for sharing: fencing waits for statements that are running, and
 * every later one is refused.
 *
 * @module
 */
import type { DatabaseConnection } from '../../core/database/database-connection.ts';
import { schemaCreation } from '../../core/database/lock-space.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';

/** The SQLSTATE of a statement of a fenced incarnation. */
export const fencedState = 'FL001';

/** The name of the one cluster of a database. */
const clusterName = 'main';

/** Grows when the tables or the function change. */
const ownershipFormat = 1;

const creation = `${schemaCreation}
CREATE TABLE IF NOT EXISTS flotilla.broker_cluster (
  cluster text PRIMARY KEY,
  format int NOT NULL);
CREATE TABLE IF NOT EXISTS flotilla.broker_node (
  name text PRIMARY KEY,
  number bigint NOT NULL,
  alive boolean NOT NULL,
  recovered boolean NOT NULL DEFAULT true,
  heartbeat_at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE TABLE IF NOT EXISTS flotilla.broker_identity (
  identity text PRIMARY KEY,
  version bigint NOT NULL DEFAULT 0,
  node text,
  address text,
  serial text);
CREATE TABLE IF NOT EXISTS flotilla.broker_session_owner (
  client text PRIMARY KEY,
  identity text NOT NULL,
  node text,
  number bigint,
  epoch bigint NOT NULL DEFAULT 0,
  connected boolean NOT NULL DEFAULT false,
  connection jsonb,
  transfer bigint,
  transfer_to text,
  transfer_identity text);
-- Not counted in the row: the row of an ended session is deleted, and its numbers must not come again.
CREATE SEQUENCE IF NOT EXISTS flotilla.broker_claim_number;
CREATE INDEX IF NOT EXISTS broker_session_owner_connected
  ON flotilla.broker_session_owner (identity) WHERE connected;
CREATE INDEX IF NOT EXISTS broker_session_owner_transfer
  ON flotilla.broker_session_owner (node) WHERE transfer IS NOT NULL;

CREATE OR REPLACE FUNCTION flotilla.broker_claim_transactions(
  own_node text, own_number bigint, requests jsonb)
RETURNS TABLE (place int, reply jsonb) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  request record;
  owned flotilla.broker_session_owner;
  before flotilla.broker_identity;
  new_version bigint;
  new_epoch bigint;
  other jsonb;
BEGIN
  PERFORM 1 FROM flotilla.broker_node
    WHERE name = own_node AND number = own_number AND alive FOR SHARE;
  IF NOT FOUND THEN RAISE EXCEPTION 'fenced' USING ERRCODE = '${fencedState}'; END IF;
  INSERT INTO flotilla.broker_identity (identity)
    SELECT DISTINCT item->>'identity' FROM jsonb_array_elements(requests) item ORDER BY 1
    ON CONFLICT DO NOTHING;
  PERFORM 1 FROM flotilla.broker_identity
    WHERE identity IN (SELECT item->>'identity' FROM jsonb_array_elements(requests) item)
    ORDER BY identity FOR UPDATE;
  INSERT INTO flotilla.broker_session_owner (client, identity)
    SELECT DISTINCT ON (1) item->>'client', item->>'identity' FROM jsonb_array_elements(requests) item
    WHERE item->>'kind' = 'claim' ORDER BY 1
    ON CONFLICT DO NOTHING;
  PERFORM 1 FROM flotilla.broker_session_owner
    WHERE client IN (SELECT item->>'client' FROM jsonb_array_elements(requests) item)
    ORDER BY client FOR UPDATE;
  FOR request IN
    SELECT ord, x.* FROM jsonb_array_elements(requests) WITH ORDINALITY e(item, ord),
      jsonb_to_record(item) x(kind text, client text, identity text, epoch bigint, transfer bigint,
        "sessionStays" boolean, "isAssigned" boolean, "connectionsMax" int, connection jsonb)
    ORDER BY ord
  LOOP
    place := request.ord - 1;
    SELECT * INTO owned FROM flotilla.broker_session_owner WHERE client = request.client;
    IF NOT FOUND AND request.kind = 'claim' THEN
      -- A transaction of another identity has deleted the row since it was inserted above.
      INSERT INTO flotilla.broker_session_owner AS o (client, identity)
        VALUES (request.client, request.identity)
        ON CONFLICT (client) DO UPDATE SET client = o.client RETURNING * INTO owned;
    END IF;
    IF request.kind IN ('claim', 'retry') THEN
      IF request.kind = 'retry' AND owned.transfer IS DISTINCT FROM request.transfer THEN
        reply := '{"kind":"replaced"}';
      ELSIF request."isAssigned" AND request.kind = 'claim'
          AND (owned.epoch > 0 OR owned.transfer IS NOT NULL) THEN
        reply := '{"kind":"refused","code":"client-id-missing"}';
      ELSIF owned.connected AND owned.identity <> request.identity THEN
        reply := '{"kind":"refused","code":"client-id-not-allowed"}';
      ELSIF owned.node IS NOT NULL
          AND (owned.node, owned.number) IS DISTINCT FROM (own_node, own_number)
          AND owned.transfer_identity <> request.identity THEN
        -- Another identity waits for it.
        reply := '{"kind":"refused","code":"client-id-not-allowed"}';
      ELSIF (SELECT count(*) FROM flotilla.broker_session_owner
            WHERE identity = request.identity AND connected AND client <> request.client)
          >= request."connectionsMax" THEN
        reply := '{"kind":"refused","code":"device-connections-too-many"}';
      ELSIF owned.node IS NOT NULL
          AND (owned.node, owned.number) IS DISTINCT FROM (own_node, own_number) THEN
        IF request.kind = 'claim' THEN
          UPDATE flotilla.broker_session_owner
            SET transfer = nextval('flotilla.broker_claim_number'), transfer_to = own_node,
              transfer_identity = request.identity
            WHERE client = request.client RETURNING * INTO owned;
        END IF;
        reply := jsonb_build_object('kind', 'wait', 'transfer', owned.transfer, 'epoch', owned.epoch,
          'owner', jsonb_build_object('node', owned.node, 'number', owned.number));
      ELSE
        SELECT * INTO before FROM flotilla.broker_identity WHERE identity = request.identity;
        UPDATE flotilla.broker_identity
          SET version = greatest(version + 1,
            (extract(epoch FROM clock_timestamp()) * 1000)::bigint * 1000),
            node = own_node, address = request.connection->>'address',
            serial = request.connection->>'serial'
          WHERE identity = request.identity RETURNING version INTO new_version;
        UPDATE flotilla.broker_session_owner
          SET identity = request.identity, node = own_node, number = own_number,
            epoch = nextval('flotilla.broker_claim_number'), connected = true,
            connection = request.connection,
            transfer = NULL, transfer_to = NULL, transfer_identity = NULL
          WHERE client = request.client RETURNING epoch INTO new_epoch;
        reply := jsonb_build_object('kind', 'granted', 'epoch', new_epoch,
            'takesOver', owned.connected, 'version', new_version)
          || CASE WHEN before.node <> own_node
            THEN jsonb_build_object('previous',
              jsonb_build_object('address', before.address, 'serial', before.serial))
            ELSE '{}' END;
      END IF;
      IF reply->>'kind' = 'refused' AND request.kind = 'retry' THEN
        UPDATE flotilla.broker_session_owner
          SET transfer = NULL, transfer_to = NULL, transfer_identity = NULL
          WHERE client = request.client;
      END IF;
    ELSE
      IF owned.node = own_node AND owned.number = own_number AND owned.epoch = request.epoch THEN
        IF request.kind = 'release' AND request."sessionStays" THEN
          UPDATE flotilla.broker_session_owner SET connected = false WHERE client = request.client;
        ELSIF request.kind = 'release' AND owned.transfer IS NULL THEN
          DELETE FROM flotilla.broker_session_owner WHERE client = request.client;
        ELSE
          UPDATE flotilla.broker_session_owner
            SET node = NULL, number = NULL, connected = false WHERE client = request.client;
        END IF;
      END IF;
      UPDATE flotilla.broker_identity
        SET version = greatest(version + 1,
            (extract(epoch FROM clock_timestamp()) * 1000)::bigint * 1000)
        WHERE identity = request.identity RETURNING version INTO new_version;
      SELECT o.connection || jsonb_build_object('broker', o.node) INTO other
        FROM flotilla.broker_session_owner o
        WHERE o.identity = request.identity AND o.connected LIMIT 1;
      reply := jsonb_build_object('kind', 'written', 'version', new_version, 'other', other,
        'transferTo', owned.transfer_to);
    END IF;
    RETURN NEXT;
  END LOOP;
  DELETE FROM flotilla.broker_session_owner
    WHERE epoch = 0 AND transfer IS NULL
      AND client IN (SELECT item->>'client' FROM jsonb_array_elements(requests) item);
END $$;
INSERT INTO flotilla.broker_cluster (cluster, format) VALUES ('${clusterName}', ${ownershipFormat})
  ON CONFLICT (cluster) DO NOTHING;`;

/**
 * Creates the tables if there are none.
 *
 * @throws FlotillaError `database-refused` if they cannot be created, `database-version` if another version made them
 */
export async function ensureOwnershipTables(
  database: Pick<DatabaseConnection, 'query'>,
): Promise<void> {
  // All tables are created in one transaction.
  const [existing] = await database.query<{ found: boolean }>(
    "SELECT to_regclass('flotilla.broker_cluster') IS NOT NULL AS found",
  );
  if (existing?.found !== true) {
    try {
      await database.query(creation);
    } catch (error) {
      throw new FlotillaError('database-refused', { detail: 'creating the tables', cause: error });
    }
  }
  const [found] = await database.query<{ format: number }>(
    'SELECT format FROM flotilla.broker_cluster WHERE cluster = $1',
    [clusterName],
  );
  if (found?.format === ownershipFormat) return;
  throw new FlotillaError('database-version', {
    detail: `the claims have format ${found?.format ?? 'none'}, this version has ${ownershipFormat}`,
  });
}

/** Runs the transactions of an incarnation in order. $1: its node; $2: its number; $3: an array in JSON. */
export const transactionsStatement =
  'SELECT place, reply FROM flotilla.broker_claim_transactions($1, $2, $3)';

/** Starts a new incarnation of a node, and fences the former one. $1: the name. A bigint is a string in the result. */
export const joinStatement = `INSERT INTO flotilla.broker_node AS n (name, number, alive, recovered)
  VALUES ($1, 1, true, true)
  ON CONFLICT (name) DO UPDATE
    SET number = n.number + 1, alive = true, recovered = false, heartbeat_at = clock_timestamp()
  RETURNING number`;

/** Renews the lease of an incarnation. $1: the node; $2: the number. No row: it is fenced. */
export const heartbeatStatement = `UPDATE flotilla.broker_node SET heartbeat_at = clock_timestamp()
  WHERE name = $1 AND number = $2 AND alive RETURNING number`;

/** Fences the nodes whose lease is over. $1: the lease in ms; $2: the own name. */
export const fenceStatement = `UPDATE flotilla.broker_node SET alive = false, recovered = false
  WHERE alive AND name <> $2 AND heartbeat_at < clock_timestamp() - $1 * interval '1 millisecond'
  RETURNING name`;

/** The nodes of which a fenced incarnation may still own sessions. */
export const unrecoveredStatement =
  'SELECT name, number FROM flotilla.broker_node WHERE NOT recovered';

/**
 * Checks in some of what fenced incarnations own. The state of the sessions must be in the database by then. $1: how
 * many rows. Returns for each row the node that waits for it, or null.
 */
export const recoverStatement = `WITH fenced AS (
    SELECT client FROM flotilla.broker_session_owner o
    WHERE node IS NOT NULL AND NOT EXISTS (
      SELECT 1 FROM flotilla.broker_node n WHERE n.name = o.node AND n.number = o.number AND n.alive)
    ORDER BY client LIMIT $1 FOR UPDATE)
  UPDATE flotilla.broker_session_owner o SET node = NULL, number = NULL, connected = false
  FROM fenced WHERE o.client = fenced.client
  RETURNING o.client, o.transfer_to AS waiting`;

/** Notes that nothing is left to recover. $1: the nodes; $2: their numbers when the recovery began. */
export const recoveredStatement = `UPDATE flotilla.broker_node SET recovered = true
  WHERE (name, number) IN (SELECT * FROM unnest($1::text[], $2::bigint[]))`;

/** A row that names a node as the owner. */
export interface OwnedRow {
  readonly client: string;
  readonly identity: string;
  /** A bigint is a string. */
  readonly epoch: string;
  /** Whether another node requests a transfer. */
  readonly transferRequested: boolean;
}

/** The sessions of a node that other ones wait for, the longest wait first. $1: the node; $2: the number; $3: how many. */
export const transfersStatement = `SELECT client, identity, epoch, true AS "transferRequested"
  FROM flotilla.broker_session_owner
  WHERE node = $1 AND number = $2 AND transfer IS NOT NULL ORDER BY transfer LIMIT $3`;

/** The rows of some client ids that a node owns. $1: the node; $2: the number; $3: the client ids. */
export const ownedStatement = `SELECT client, identity, epoch, transfer IS NOT NULL AS "transferRequested"
  FROM flotilla.broker_session_owner WHERE node = $1 AND number = $2 AND client = ANY($3)`;

/** Notifies nodes. $1: their channels; $2: a text for each. */
export const notifyStatement =
  'SELECT pg_notify(h.channel, h.text) FROM unnest($1::text[], $2::text[]) AS h(channel, text)';
