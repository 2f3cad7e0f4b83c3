/**
 * What the enrollment service stores, in PostgreSQL.
 *
 * @module
 */
import { rename } from 'node:fs/promises';
import { hostname } from 'node:os';
import type { Config } from '../../core/config/config.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { holdsIdentity } from '../../core/identity-folder.ts';
import { isMissing } from '../../core/identity-versions.ts';
import type { Lifecycle } from '../../core/lifecycle.ts';
import type { Logger } from '../../core/log.ts';
import type { StateFolder } from '../../core/state-folder.ts';
import type { StoredText } from '../../core/stored-text.ts';
import { AuditLog } from '../audit/audit-log.ts';
import type { CertificateAuthority } from '../ca/certificate-authority.ts';
import { keepAuthorities, readAuthorities } from '../database/authority-record.ts';
import { databaseAccess } from '../../core/database/database-connection.ts';
import { DatabaseTerm } from '../../core/database/database-term.ts';
import { completeCopy, PostgresAudit, readExtent } from '../database/postgres-audit.ts';
import { PostgresRegistry } from '../database/postgres-registry.ts';
import { registryTerm, writeText } from '../database/registry-tables.ts';
import { Lineage } from '../registry/lineage.ts';
import { assertNotMoving, importMark } from '../database/import-mark.ts';
import { hasRegistryFiles, type EnrollStorage, type StorageDeps } from './file-storage.ts';

/**
 * Begins a term in the configured database. The state folder must not have another registry in files.
 *
 * @param standby waits while another instance is active; without it `database-in-use` is thrown
 * @returns undefined when no database is configured, or `standby.stop` resolved first
 * @throws FlotillaError `database-…`, `registry-not-imported`
 */
export async function beginTerm(
  state: StateFolder,
  config: Config,
  log: Logger,
  standby?: Parameters<typeof DatabaseTerm.begin>[1],
): Promise<DatabaseTerm | undefined> {
  const access = await databaseAccess(config.enroll);
  if (access === undefined) return undefined;
  const { registry: folder } = state.enroll;
  if (await hasRegistryFiles(folder)) {
    throw new FlotillaError('registry-not-imported', { detail: folder });
  }
  return DatabaseTerm.begin(
    { tables: registryTerm, access, log, instance: instanceName(state) },
    standby,
  );
}

/** Names an instance for people, and recognizes it. */
export function instanceName({ root }: StateFolder): string {
  return `${hostname()}:${root}`;
}

/** @throws FlotillaError `registry-…`, `audit-…`, `database-…` */
export async function openDatabaseStorage(
  state: StateFolder,
  ca: CertificateAuthority,
  term: DatabaseTerm,
  { clock, log, acceptLoss }: StorageDeps,
  lifecycle: Lifecycle,
): Promise<EnrollStorage> {
  await assertNotMoving(databaseText(term, importMark));
  // Before anything else is written: a state folder with another CA has nothing to do with this database.
  const authorities = databaseText(term, 'authorities');
  const stop = await keepAuthorities(authorities, ca, instanceName(state), log);
  lifecycle.add('record of the CA', stop);
  const extent = await readExtent(term);
  const { number: from } = extent;
  const isUsed = from === 0 && acceptLoss !== 'registry' && (await holdsIdentity(state.enroll.tls));
  if (isUsed) throw new FlotillaError('registry-missing', { detail: 'the database is empty' });
  const folder = state.enroll.audit;
  if (acceptLoss === 'audit') await setAside(folder, clock.now());
  const copy = await AuditLog.open(folder, clock);
  lifecycle.add('audit log', () => copy.close());
  const { end, number } = await completeCopy({ term, extent, copy, folder, acceptLoss });
  const audit = new PostgresAudit({ term, copy, log });
  const { written } = audit;
  const registry = await PostgresRegistry.open({ term, clock, auditEnd: end, number, written });
  audit.writeTo(registry);
  lifecycle.add('registry', () => registry.close());
  const lineage = await Lineage.begin(databaseText(term, 'history'), {
    ...{ from, audited: number, nowMs: clock.now() },
  });
  return {
    registry,
    audit,
    lineage,
    connection: term,
    crlNumber: databaseText(term, 'crl-number'),
  };
}

/**
 * A new CA would be useless beside a registry that another one belongs to.
 *
 * @throws FlotillaError `database-ca-differs`
 */
export async function assertDatabaseNew(term: DatabaseTerm): Promise<void> {
  const record = await readAuthorities(databaseText(term, 'authorities'));
  if (record === undefined) return;
  throw new FlotillaError('database-ca-differs', {
    detail: `the database has root ${record.roots.join(', ')}, this state folder has no CA`,
  });
}

/** A copy that contradicts the database stays for comparison; a new one is made. */
async function setAside(folder: string, nowMs: number): Promise<void> {
  await rename(folder, `${folder}-${nowMs}`).catch((error: unknown) => {
    if (!isMissing(error)) throw new FlotillaError('file-write-failed', { cause: error });
  });
}

/** A text in the database. `write` throws FlotillaError `registry-unavailable`. */
export function databaseText(term: DatabaseTerm, name: string): StoredText {
  return {
    place: `the database, ${name}`,
    async read() {
      const [found] = await term.read<{ content: string }>(
        'SELECT content FROM flotilla.stored_text WHERE name = $1',
        [name],
      );
      return found?.content;
    },
    write: (text) => term.write(writeText(name, text)),
  };
}
