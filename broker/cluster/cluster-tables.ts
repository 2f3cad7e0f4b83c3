/**
 * The tables of the nodes and of the holders of partitions in PostgreSQL, and the statements for them.
 *
 * What is in them helps nodes to find each other and to agree; the advisory lock and the term of a store decide who writes
 * it. Rows that were lost are written again by those whom they describe, so nothing here waits until it is durable.
 *
 * @module
 */
import type { DatabaseConnection } from '../../core/database/database-connection.ts';
import { lockHolders } from '../../core/database/hung-instance.ts';
import { schemaCreation } from '../../core/database/lock-space.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { ensureJournalTables } from '../journal/journal-tables.ts';
import { settleLayout, storeLock } from '../journal/store-layout.ts';
import { claimMaxMs, type ClusterLook, type NodeRow, type PartitionRow } from './cluster-rows.ts';
import { partitionName } from '../../core/partition.ts';

const creation = `${schemaCreation}
CREATE TABLE IF NOT EXISTS flotilla.cluster_node (
  node text PRIMARY KEY,
  run text NOT NULL,
  address text NOT NULL,
  version text NOT NULL,
  draining boolean NOT NULL,
  failing boolean NOT NULL,
  seen_at timestamptz NOT NULL);
CREATE TABLE IF NOT EXISTS flotilla.cluster_drain (
  node text PRIMARY KEY,
  asked_at timestamptz NOT NULL);
CREATE TABLE IF NOT EXISTS flotilla.cluster_partition (
  partition int PRIMARY KEY,
  node text,
  run text,
  address text,
  term bigint,
  claim_run text,
  claimed_at timestamptz);`;

/** Nodes that are looked at. */
const nodesMax = 256;

/** The session of a node, in `pg_stat_activity`. */
export function sessionName(run: string): string {
  return `flotilla-node-${run}`;
}

/**
 * Prepares a new session of a node, and creates the tables if there are none.
 *
 * @param partitions the number of partitions of the fleet
 * @throws FlotillaError `database-refused`, `cluster-partitions-differ`, `store-undivided`
 */
export async function prepareCluster(
  connection: DatabaseConnection,
  partitions: number,
): Promise<void> {
  await ensureJournalTables(connection);
  await settleLayout(connection, partitions);
  await connection.query("SELECT set_config('synchronous_commit', 'off', false)");
  if (await hasClusterTables(connection)) return;
  try {
    await connection.query(creation);
  } catch (error) {
    throw new FlotillaError('database-refused', { detail: 'creating the tables', cause: error });
  }
}

/** The secret from which all nodes derive the keys of TLS session tickets. */
export async function readTicketSecret(connection: DatabaseConnection): Promise<Buffer> {
  const [row] = await connection.query<{ secret: Buffer }>(
    'SELECT ticket_secret AS secret FROM flotilla.cluster',
  );
  if (row === undefined) throw new FlotillaError('database-version', { detail: 'no cluster' });
  return row.secret;
}

/** Whether nodes have created the tables of this file. */
export async function hasClusterTables(connection: DatabaseConnection): Promise<boolean> {
  const [tables] = await connection.query<{ found: boolean }>(
    `SELECT to_regclass('flotilla.cluster_partition') IS NOT NULL AS found`,
  );
  return tables?.found === true;
}

/**
 * Notes that an operator wants other nodes to hold the partitions of a node, or not any more. It stays noted when the node
 * ends and starts again.
 *
 * @returns false: nothing has changed
 */
export async function askToDrain(
  connection: DatabaseConnection,
  node: string,
  isAsked: boolean,
): Promise<boolean> {
  const text = isAsked
    ? `INSERT INTO flotilla.cluster_drain (node, asked_at) VALUES ($1, clock_timestamp())
       ON CONFLICT (node) DO NOTHING RETURNING node`
    : 'DELETE FROM flotilla.cluster_drain WHERE node = $1 RETURNING node';
  const rows = await connection.query(text, [node]);
  return rows.length > 0;
}

export interface OwnNode {
  readonly node: string;
  readonly run: string;
  readonly address: string;
  readonly version: string;
  readonly draining: boolean;
  readonly failing: boolean;
}

/**
 * Writes the row of this node with a heartbeat.
 *
 * @param ended the run of a process of this name that has ended
 * @returns false: another process uses the name
 */
export async function writeHeartbeat(
  connection: DatabaseConnection,
  { node, run, address, version, draining, failing }: OwnNode,
  silentMaxMs: number,
  ended: string | null = null,
): Promise<boolean> {
  const rows = await connection.query(
    `INSERT INTO flotilla.cluster_node AS n (node, run, address, version, draining, failing, seen_at)
     VALUES ($1, $2, $3, $4, $5, $8, clock_timestamp())
     ON CONFLICT (node) DO UPDATE SET run = excluded.run, address = excluded.address,
       version = excluded.version, draining = excluded.draining,
       failing = excluded.failing, seen_at = excluded.seen_at
     WHERE n.run IN (excluded.run, $6)
       OR n.seen_at < clock_timestamp() - $7 * interval '1 millisecond'
     RETURNING node`,
    [node, run, address, version, draining, ended, silentMaxMs, failing],
    'flotilla-heartbeat',
  );
  return rows.length > 0;
}

/** Deletes the rows of nodes that have been away for a day. */
export async function forgetNodes(connection: DatabaseConnection): Promise<void> {
  await connection.query(
    "DELETE FROM flotilla.cluster_node WHERE seen_at < clock_timestamp() - interval '1 day'",
  );
}

/** Deletes the row of a node. */
export async function deleteNode(connection: DatabaseConnection, run: string): Promise<void> {
  await connection.query('DELETE FROM flotilla.cluster_node WHERE run = $1', [run]);
}

const lookAtNodes = `SELECT node, run, address, version, draining, failing,
    EXISTS (SELECT FROM flotilla.cluster_drain d WHERE d.node = n.node) AS "isDrainAsked",
    seen_at::text AS "seenAt",
    (extract(epoch FROM clock_timestamp() - seen_at) * 1000)::float8 AS "silentMs",
    EXISTS (SELECT FROM pg_stat_activity
      WHERE application_name = '${sessionName('')}' || run) AS "isConnected"
  FROM flotilla.cluster_node n ORDER BY seen_at DESC LIMIT ${nodesMax}`;

/** $1: the names of all stores. The result is in their order. */
const lookAtPartitions = `SELECT p.node, p.run, p.address, p.term::float8 AS term,
    s.term::float8 AS "storeTerm", p.claim_run AS "claimRun",
    (extract(epoch FROM clock_timestamp() - p.claimed_at) * 1000)::float8 AS "claimMs",
    h.pid, h.sign,
    (extract(epoch FROM clock_timestamp() - pg_postmaster_start_time()) * 1000)::float8 AS "upMs"
  FROM unnest($1::text[]) WITH ORDINALITY AS o(store, number)
    LEFT JOIN flotilla.cluster_partition p ON p.partition = o.number - 1
    LEFT JOIN flotilla.broker_store s USING (store)
    LEFT JOIN (${lockHolders}) h ON h.number = o.number - 1 + ${storeLock({ index: 0 })}
  ORDER BY o.number`;

export async function lookAtCluster(
  connection: DatabaseConnection,
  partitions: number,
): Promise<ClusterLook> {
  const nodes = await connection.query<NodeRow>(lookAtNodes, [], 'flotilla-nodes');
  const stores = Array.from({ length: partitions }, (_, index) => partitionName(index));
  const rows = await connection.query<PartitionRow & { readonly upMs: number }>(
    lookAtPartitions,
    [stores],
    'flotilla-partitions',
  );
  return { nodes, partitions: rows, upMs: rows[0]?.upMs ?? 0 };
}

/**
 * Claims free partitions, so that other nodes do not try to take them meanwhile.
 *
 * @param liveRuns processes whose claims count
 * @returns those that this process may take
 */
export async function claimPartitions(
  connection: DatabaseConnection,
  run: string,
  partitions: readonly number[],
  liveRuns: readonly string[],
): Promise<readonly number[]> {
  const rows = await connection.query<{ partition: number }>(
    `INSERT INTO flotilla.cluster_partition AS p (partition, claim_run, claimed_at)
     SELECT i, $1, clock_timestamp() FROM unnest($2::int[]) AS i ORDER BY i
     ON CONFLICT (partition) DO UPDATE SET claim_run = $1, claimed_at = clock_timestamp()
     WHERE p.claim_run IS NULL OR p.claim_run = $1 OR NOT (p.claim_run = ANY ($3::text[]))
       OR p.claimed_at < clock_timestamp() - $4 * interval '1 millisecond'
     RETURNING partition`,
    [run, partitions, liveRuns, claimMaxMs],
  );
  return rows.map(({ partition }) => partition);
}

/** Writes that this node holds partitions, unless a newer term is noted already. */
export async function writeHolder(
  connection: DatabaseConnection,
  { node, run, address }: OwnNode,
  held: readonly { readonly partition: number; readonly term: number }[],
): Promise<void> {
  await connection.query(
    `INSERT INTO flotilla.cluster_partition AS p (partition, node, run, address, term)
     SELECT i, $1, $2, $3, term FROM unnest($4::int[], $5::bigint[]) AS h(i, term) ORDER BY i
     ON CONFLICT (partition) DO UPDATE SET node = excluded.node, run = excluded.run,
       address = excluded.address, term = excluded.term,
       claim_run = nullif(p.claim_run, excluded.run)
     WHERE p.term IS NULL OR p.term <= excluded.term`,
    [node, run, address, held.map(({ partition }) => partition), held.map(({ term }) => term)],
  );
}

/** Clears what is written about this process and is not true any more: it holds them, or is taking them. */
export async function clearPartitions(
  connection: DatabaseConnection,
  run: string,
  notHeld: readonly number[],
  notTaken: readonly number[],
): Promise<void> {
  await connection.query(
    `UPDATE flotilla.cluster_partition SET
       node = CASE WHEN run = $1 AND partition = ANY ($2::int[]) THEN NULL ELSE node END,
       claim_run = CASE WHEN claim_run = $1 AND partition = ANY ($3::int[]) THEN NULL ELSE claim_run END
     WHERE (run = $1 AND partition = ANY ($2::int[])) OR (claim_run = $1 AND partition = ANY ($3::int[]))`,
    [run, notHeld, notTaken],
  );
}
