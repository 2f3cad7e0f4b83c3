/**
 * Reads the audit log in the database for the command line, in a session of its own, whichever instance is active.
 *
 * @module
 */
import { ChainCheck, lineOf, type ChainEnd } from '../audit/audit-chain.ts';
import type { AuditLine } from '../audit/audit-event.ts';
import { auditVerdict, type AuditVerdict } from '../audit/audit-reader.ts';
import {
  DatabaseConnection,
  type DatabaseAccess,
} from '../../core/database/database-connection.ts';
import { auditPages, readExtent, type RowReader } from './postgres-audit.ts';
import { ensureTables } from './registry-tables.ts';

const place = 'the database';

/**
 * Follows the chain in the database, and compares it with the last line that the row of the registry names.
 *
 * @param copied the last line of the copy in the state folder: it must be in the database
 * @throws FlotillaError `database-…`
 */
export function verifyDatabaseAudit(
  access: DatabaseAccess,
  copied: ChainEnd | undefined,
): Promise<AuditVerdict> {
  return withSession(access, async (read) => {
    const { auditSeq: seq, auditHash: hash } = await readExtent({ read });
    const check = new ChainCheck({ seq, hash });
    for await (const page of auditPages(read, 0)) {
      for (const text of page) {
        const reason =
          check.take(text) ??
          (copied?.seq === check.end.seq && copied.hash !== check.end.hash
            ? 'the copy in the state folder has another line'
            : undefined);
        if (reason === undefined) continue;
        return auditVerdict(check, 0, { file: place, line: check.lines + 1, reason });
      }
    }
    const reason =
      check.finish() ??
      (copied !== undefined && copied.seq > check.end.seq
        ? `lines at the end are missing: the copy in the state folder has line ${copied.seq}`
        : undefined);
    return auditVerdict(check, 0, reason === undefined ? null : { file: place, line: 0, reason });
  });
}

/** The last `count` lines, oldest first. @throws FlotillaError `database-…` */
export function tailDatabaseAudit(
  access: DatabaseAccess,
  count: number,
): Promise<readonly AuditLine[]> {
  return withSession(access, async (read) => {
    const rows = await read<{ line: string }>(
      'SELECT line FROM flotilla.audit_line ORDER BY seq DESC LIMIT $1',
      [count],
    );
    return rows.flatMap(({ line }) => lineOf(line) ?? []).toReversed();
  });
}

async function withSession<T>(
  access: DatabaseAccess,
  use: (read: RowReader) => Promise<T>,
): Promise<T> {
  const connection = await DatabaseConnection.open(access, 'flotilla-audit');
  try {
    await ensureTables(connection);
    return await use((text, values) => connection.query(text, values));
  } finally {
    await connection.close();
  }
}
