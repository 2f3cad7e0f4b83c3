/**
 * The tables of the registry in PostgreSQL, and the statements that write them.
 *
 * Each statement is one transaction and begins with `fence`: it succeeds only if the row of the registry still has the
 * term of this instance and the number of its last write. Otherwise nothing is written.
 *
 * Rows are text, not jsonb: they come back byte by byte, a text with U+0000 is no fault, and nothing queries them here.
 * `body::jsonb` works for people.
 *
 * @module
 */
import type { FencedStatement, TermTables } from '../../core/database/database-term.ts';
import { schemaCreation } from '../../core/database/lock-space.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { DatabaseConnection } from '../../core/database/database-connection.ts';

/** Grows when the tables change. */
const formatNumber = 2;
/** Older deletions of identities are forgotten. */
export const removalsKeptCommits = 100_000;

/** Since format 2. */
const removalTable = `CREATE TABLE IF NOT EXISTS flotilla.removal (
  commit bigint NOT NULL,
  key text COLLATE "C" NOT NULL,
  PRIMARY KEY (commit, key));`;

const creation = `${schemaCreation}
CREATE TABLE flotilla.registry (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  format int NOT NULL,
  term bigint NOT NULL,
  writes bigint NOT NULL,
  number bigint NOT NULL,
  audit_seq bigint NOT NULL,
  audit_hash text NOT NULL,
  resumed_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE flotilla.term (
  term bigint PRIMARY KEY,
  instance text NOT NULL,
  began_at timestamptz NOT NULL DEFAULT now(),
  writes bigint NOT NULL,
  number bigint NOT NULL);
CREATE TABLE flotilla.registry_row (
  kind text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  version bigint NOT NULL,
  body text NOT NULL,
  PRIMARY KEY (kind, key));
CREATE TABLE flotilla.audit_line (
  seq bigint PRIMARY KEY,
  commit bigint,
  line text NOT NULL);
CREATE TABLE flotilla.stored_text (
  name text PRIMARY KEY,
  content text NOT NULL);
${removalTable}
INSERT INTO flotilla.registry (format, term, writes, number, audit_seq, audit_hash)
VALUES (${formatNumber}, 0, 0, 0, 0, repeat('0', 64));`;

/**
 * Creates the tables in a database that has none, and adds those that an earlier version did not have.
 *
 * @throws FlotillaError `database-version`, `database-refused`
 */
export async function ensureTables(connection: DatabaseConnection): Promise<void> {
  if (!(await hasTables(connection))) {
    try {
      await connection.query(creation);
    } catch (error) {
      throw new FlotillaError('database-refused', { detail: 'creating the tables', cause: error });
    }
  }
  const [found] = await connection.query<{ format: number }>(
    'SELECT format FROM flotilla.registry',
  );
  if (found?.format === formatNumber) return;
  if (found?.format === 1) {
    await connection.query(
      `${removalTable} UPDATE flotilla.registry SET format = ${formatNumber};`,
    );
    return;
  }
  throw new FlotillaError('database-version', {
    detail: `the tables have format ${found?.format ?? 'none'}, this version has ${formatNumber}`,
  });
}

async function hasTables(connection: DatabaseConnection): Promise<boolean> {
  const [found] = await connection.query<{ found: boolean }>(
    "SELECT to_regclass('flotilla.registry') IS NOT NULL AS found",
  );
  return found?.found === true;
}

/** The registry, as that which one instance at a time writes. */
export const registryTerm: TermTables = {
  content: 'the registry',
  lockNumber: 1,
  unavailable: 'registry-unavailable',
  ensure: ensureTables,
  isThere: hasTables,
  begin: `WITH began AS (
      UPDATE flotilla.registry SET term = term + 1, resumed_at = now()
      RETURNING term, writes, number),
    noted AS (
      INSERT INTO flotilla.term (term, instance, writes, number)
      SELECT term, $1, writes, number FROM began)
    SELECT term, writes FROM began`,
  resume: `UPDATE flotilla.registry SET resumed_at = now()
    WHERE term = $1 AND writes >= $2 RETURNING writes`,
  next: 'SELECT writes FROM flotilla.term WHERE term > $1 ORDER BY term LIMIT 1',
  newest: 'SELECT instance FROM flotilla.term ORDER BY term DESC LIMIT 1',
};

/** Commits and lines of the audit log. */
export interface RowWrites {
  readonly number: number;
  readonly auditSeq: number;
  readonly auditHash: string;
  readonly deletions: readonly { readonly table: string; readonly key: string }[];
  readonly puts: readonly {
    readonly table: string;
    readonly key: string;
    readonly version: number;
    readonly body: string;
  }[];
  /** Each deletion of an identity, also of one that was created again. */
  readonly removals: readonly { readonly key: string; readonly commit: number }[];
  readonly lines: readonly {
    readonly seq: number;
    readonly commit?: number | undefined;
    readonly text: string;
  }[];
}

const rowStatement = `WITH fence AS (
  UPDATE flotilla.registry SET writes = $2, number = $3, audit_seq = $4, audit_hash = $5
  WHERE term = $1 AND writes = $2::bigint - 1 RETURNING 1),
removed AS (
  DELETE FROM flotilla.registry_row AS r
  USING fence, unnest($6::text[], $7::text[]) AS d(kind, key)
  WHERE r.kind = d.kind AND r.key = d.key),
stored AS (
  INSERT INTO flotilla.registry_row (kind, key, version, body)
  SELECT p.kind, p.key, p.version, p.body
  FROM fence, unnest($8::text[], $9::text[], $10::bigint[], $11::text[]) AS p(kind, key, version, body)
  ON CONFLICT (kind, key) DO UPDATE SET version = excluded.version, body = excluded.body),
logged AS (
  INSERT INTO flotilla.audit_line (seq, commit, line)
  SELECT l.seq, l.commit, l.line
  FROM fence, unnest($12::bigint[], $13::bigint[], $14::text[]) AS l(seq, commit, line)),
noted AS (
  INSERT INTO flotilla.removal (commit, key)
  SELECT n.commit, n.key FROM fence, unnest($15::bigint[], $16::text[]) AS n(commit, key)),
forgotten AS (
  DELETE FROM flotilla.removal AS f
  USING fence WHERE f.commit <= $3::bigint - ${removalsKeptCommits})
SELECT count(*)::int AS passed FROM fence`;

export function writeRows(writes: RowWrites): FencedStatement {
  const { number, auditSeq, auditHash, deletions, puts, lines, removals } = writes;
  return {
    text: rowStatement,
    values: [
      ...[number, auditSeq, auditHash],
      ...[deletions.map(({ table }) => table), deletions.map(({ key }) => key)],
      ...[puts.map(({ table }) => table), puts.map(({ key }) => key)],
      ...[puts.map(({ version }) => version), puts.map(({ body }) => body)],
      ...[lines.map(({ seq }) => seq), lines.map(({ commit }) => commit ?? null)],
      lines.map(({ text }) => text),
      ...[removals.map(({ commit }) => commit), removals.map(({ key }) => key)],
    ],
  };
}

const textStatement = `WITH fence AS (
  UPDATE flotilla.registry SET writes = $2 WHERE term = $1 AND writes = $2::bigint - 1 RETURNING 1),
stored AS (
  INSERT INTO flotilla.stored_text (name, content) SELECT $3, $4 FROM fence
  ON CONFLICT (name) DO UPDATE SET content = excluded.content)
SELECT count(*)::int AS passed FROM fence`;

export function writeText(name: string, content: string): FencedStatement {
  return { text: textStatement, values: [name, content] };
}

const endStatement = `WITH fence AS (
  UPDATE flotilla.registry SET writes = $2, number = $3, audit_seq = $4, audit_hash = $5
  WHERE term = $1 AND writes = $2::bigint - 1 RETURNING 1),
stored AS (
  INSERT INTO flotilla.stored_text (name, content) SELECT $6, $7 FROM fence
  ON CONFLICT (name) DO UPDATE SET content = excluded.content)
SELECT count(*)::int AS passed FROM fence`;

/** The numbers of the registry together with a text: what was written before belongs to the registry from here on. */
export function writeNumbers(
  { number, auditSeq, auditHash }: Pick<RowWrites, 'number' | 'auditSeq' | 'auditHash'>,
  name: string,
  content: string,
): FencedStatement {
  return { text: endStatement, values: [number, auditSeq, auditHash, name, content] };
}
