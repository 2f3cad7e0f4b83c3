/**
 * The audit log of a registry in PostgreSQL. Its lines are rows that are written in the transaction of the change, in one
 * hash chain over all instances: one of them is active at a time.
 *
 * The state folder has a copy in the usual files. Everything that reads the log reads the copy, and it shows a loss: a
 * database that was restored from a backup has fewer lines than the copy. A fault of the copy prevents no change; the
 * next start, or the next line, completes it.
 *
 * @module
 */
import type { Logger } from '../../core/log.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { AuditEvent, AuditLine } from '../audit/audit-event.ts';
import { lineOf, type ChainEnd } from '../audit/audit-chain.ts';
import type { AuditLog } from '../audit/audit-log.ts';
import { tailTexts } from '../audit/audit-reader.ts';
import type { AuditTrail } from '../audit/audit-trail.ts';
import type { DatabaseTerm } from '../../core/database/database-term.ts';
import type { PostgresRegistry } from './postgres-registry.ts';
import { writeRows } from './registry-tables.ts';

const pageLines = 1000;

/** Reads rows: {@link DatabaseTerm.read}, or another session. */
export type RowReader = <Row extends object>(
  text: string,
  values?: readonly unknown[],
) => Promise<readonly Row[]>;

/** The lines behind `afterSeq`, in pages. */
export async function* auditPages(
  read: RowReader,
  afterSeq: number,
): AsyncGenerator<readonly string[]> {
  let after = afterSeq;
  for (;;) {
    const page = await read<{ seq: string; line: string }>(
      `SELECT seq, line FROM flotilla.audit_line WHERE seq > $1 ORDER BY seq LIMIT ${pageLines}`,
      [after],
    );
    if (page.length === 0) return;
    yield page.map(({ line }) => line);
    after = Number(page.at(-1)?.seq);
  }
}

/** What the database has. */
export interface DatabaseExtent {
  /** The newest commit. */
  readonly number: number;
  readonly auditSeq: number;
  readonly auditHash: string;
}

/** @throws FlotillaError `database-unreachable` */
export async function readExtent({ read }: { readonly read: RowReader }): Promise<DatabaseExtent> {
  const [found] = await read<{ number: string; audit_seq: string; audit_hash: string }>(
    'SELECT number, audit_seq, audit_hash FROM flotilla.registry',
  );
  if (found === undefined) throw new FlotillaError('registry-damaged', { detail: 'no row' });
  const { number, audit_seq: seq, audit_hash: auditHash } = found;
  return { number: Number(number), auditSeq: Number(seq), auditHash };
}

/** Where the audit log ends after the copy and the database have the same lines, and the newest commit. */
export interface CompletedAudit {
  readonly end: ChainEnd;
  readonly number: number;
}

export interface CompletionDeps {
  readonly term: DatabaseTerm;
  readonly extent: DatabaseExtent;
  readonly copy: AuditLog;
  /** The folder of the copy. */
  readonly folder: string;
  readonly acceptLoss: 'registry' | 'audit' | undefined;
}

/**
 * Completes the copy from the database. If the copy has more lines than the database, changes were lost; once that is
 * accepted, the lines are written into the database.
 *
 * @throws FlotillaError `registry-behind-audit`, `audit-behind-registry`, `database-unreachable`
 */
export async function completeCopy(deps: CompletionDeps): Promise<CompletedAudit> {
  const { term, copy, acceptLoss } = deps;
  const { number, auditSeq, auditHash } = deps.extent;
  const end = { seq: auditSeq, hash: auditHash };
  const own = copy.head;
  if (own.seq > auditSeq) {
    if (acceptLoss === 'registry') return giveLines(deps);
    throw new FlotillaError('registry-behind-audit', {
      detail: `the database has line ${auditSeq}, the copy in ${deps.folder} has line ${own.seq}`,
    });
  }
  const [same] = await term.read<{ line: string }>(
    'SELECT line FROM flotilla.audit_line WHERE seq = $1',
    [own.seq],
  );
  if (own.seq > 0 && lineOf(same?.line ?? '')?.hash !== own.hash) {
    throw new FlotillaError('audit-behind-registry', {
      detail: `line ${own.seq} of ${deps.folder} is not the line of the database`,
    });
  }
  for await (const lines of auditPages(term.read, own.seq)) await copy.copy(lines);
  return { end, number };
}

/** The database gets the lines that only the copy has. Later commits have numbers that no line has yet. */
async function giveLines({ term, extent, copy, folder }: CompletionDeps): Promise<CompletedAudit> {
  const { number, auditSeq, auditHash } = extent;
  const { seq, hash } = copy.head;
  const lines = (await tailTexts(folder, seq - auditSeq)).flatMap((text) => {
    const line = lineOf(text);
    return line === undefined ? [] : [{ ...line, text }];
  });
  if (lines[0]?.seq !== auditSeq + 1 || lines[0].prev !== auditHash) {
    throw new FlotillaError('audit-behind-registry', {
      detail: `${folder} does not continue the lines of the database`,
    });
  }
  const newest = Math.max(number, copy.openedCommit);
  const empty = { deletions: [], puts: [], removals: [] };
  await term.write(writeRows({ number: newest, auditSeq: seq, auditHash: hash, ...empty, lines }));
  return { end: { seq, hash }, number: newest };
}

export interface PostgresAuditDeps {
  readonly term: DatabaseTerm;
  readonly copy: AuditLog;
  readonly log: Logger;
}

export class PostgresAudit implements AuditTrail {
  readonly #deps: PostgresAuditDeps;
  readonly #watchers = new Set<(line: AuditLine) => void>();
  #registry: PostgresRegistry | undefined;
  #isCopyBehind = false;

  constructor(deps: PostgresAuditDeps) {
    this.#deps = deps;
  }

  /** The registry writes the lines. */
  writeTo(registry: PostgresRegistry): void {
    this.#registry = registry;
  }

  get head(): { readonly seq: number; readonly hash: string } {
    return this.#registry?.auditEnd ?? this.#deps.copy.head;
  }

  get isBroken(): boolean {
    return this.#deps.term.isAway;
  }

  /** The connection is restored without it. */
  probe(): Promise<void> {
    return Promise.resolve();
  }

  async append(...events: readonly AuditEvent[]): Promise<void> {
    if (events.length > 0) await this.#registry?.record(events);
  }

  watch(listener: (line: AuditLine) => void): () => void {
    this.#watchers.add(listener);
    return () => this.#watchers.delete(listener);
  }

  /** Takes lines that are durable. */
  readonly written = async (texts: readonly string[]): Promise<void> => {
    if (texts.length === 0) return;
    await this.#copy(texts);
    for (const text of this.#watchers.size === 0 ? [] : texts) {
      const line = lineOf(text);
      if (line !== undefined) for (const watcher of this.#watchers) watcher(line);
    }
  };

  async #copy(lines: readonly string[]): Promise<void> {
    const { copy, log, term } = this.#deps;
    try {
      if (this.#isCopyBehind) {
        // The new lines are in the database as well.
        for await (const page of auditPages(term.read, copy.head.seq)) {
          await copy.copy(page);
        }
      } else {
        await copy.copy(lines);
      }
      this.#isCopyBehind = false;
    } catch (error) {
      if (!this.#isCopyBehind)
        log.error({ err: error }, 'could not write the copy of the audit log');
      this.#isCopyBehind = true;
    }
  }
}
