/**
 * Reads the audit log: verifies the chain, and returns the last lines.
 *
 * @module
 */
import { open, type FileHandle } from 'node:fs/promises';
import { amountText } from '../../core/amount-text.ts';
import { auditFileNumbers, auditFilePath } from './audit-files.ts';
import { chainStart, hashOf, type AuditLine } from './audit-log.ts';

export interface AuditVerdict {
  readonly ok: boolean;
  /** The number of lines that were verified. */
  readonly lines: number;
  readonly files: number;
  /** The last verified line. Record it elsewhere to detect that later lines were removed. */
  readonly head: { readonly seq: number; readonly hash: string } | null;
  /** The result as one line of text. */
  readonly detail: string;
  /** The newest commit of the registry that has lines; 0: none. */
  readonly commit: number;
  /** The first fault that was found. */
  readonly fault: { readonly file: string; readonly line: number; readonly reason: string } | null;
}

/**
 * Follows the chain from the first line to the last. A line at the end that is not complete is not read: it is
 * being written, or a crash interrupted it, and no response depends on it.
 *
 * @param folder `state.enroll.audit`
 * @param noted a line that must be in the log, as the registry has recorded it
 */
export async function verifyAudit(
  folder: string,
  noted?: { readonly seq: number; readonly hash: string },
): Promise<AuditVerdict> {
  let lines = 0;
  let commit = 0;
  let seq = 0;
  let hash = chainStart;
  const numbers = await auditFileNumbers(folder);
  const verdict = (fault: AuditVerdict['fault']): AuditVerdict => ({
    ok: fault === null,
    lines,
    commit,
    files: numbers.length,
    detail:
      fault === null
        ? `${amountText(lines, 'line')}, last hash ${hash}`
        : `${fault.file}, line ${fault.line}: ${fault.reason}`,
    head: lines === 0 ? null : { seq, hash },
    fault,
  });
  for (const [at, number] of numbers.entries()) {
    const path = auditFilePath(folder, number);
    if (number !== at + 1) {
      return verdict({ file: path, line: 0, reason: 'a file before this one is missing' });
    }
    let inFile = 0;
    for await (const text of linesOf(path)) {
      inFile++;
      const line = parseLine(text);
      const reason =
        line === undefined
          ? 'not a line of the audit log'
          : line.seq !== seq + 1
            ? `line ${seq + 1} is missing: this is ${line.seq}`
            : line.prev !== hash
              ? 'the line before was changed or replaced'
              : hashOf(bodyOf(text)) !== line.hash
                ? 'the line was changed'
                : line.seq === noted?.seq && line.hash !== noted.hash
                  ? 'it is not the line that the registry has recorded'
                  : undefined;
      if (line === undefined || reason !== undefined) {
        return verdict({ file: path, line: inFile, reason: reason ?? '' });
      }
      ({ seq, hash } = line);
      commit = Math.max(commit, line.commit ?? 0);
      lines++;
    }
  }
  if (noted !== undefined && seq < noted.seq) {
    const file = auditFilePath(folder, numbers.at(-1) ?? 1);
    const reason = `lines at the end are missing: the registry has recorded line ${noted.seq}`;
    return verdict({ file, line: 0, reason });
  }
  return verdict(null);
}

/** The last `count` lines, oldest first. */
export async function tailAudit(folder: string, count: number): Promise<AuditLine[]> {
  const found: AuditLine[] = [];
  for (const number of (await auditFileNumbers(folder)).reverse()) {
    const lines: AuditLine[] = [];
    for await (const text of linesOf(auditFilePath(folder, number))) {
      const line = parseLine(text);
      if (line !== undefined) lines.push(line);
      if (lines.length > 2 * count) lines.splice(0, lines.length - count);
    }
    found.unshift(...lines.slice(-(count - found.length)));
    if (found.length >= count) break;
  }
  return count === 0 ? [] : found;
}

async function* linesOf(path: string): AsyncGenerator<string> {
  const file = await open(path, 'r');
  try {
    const end = await endOfLines(file);
    // `end` of a stream is the last byte that is read.
    if (end > 0) yield* file.readLines({ autoClose: false, end: end - 1 });
  } finally {
    await file.close();
  }
}

const blockBytes = 64 * 1024;

/** The length of the complete lines of a file, in bytes. */
async function endOfLines(file: FileHandle): Promise<number> {
  const { size } = await file.stat();
  for (let end = size; end > 0; end -= blockBytes) {
    const start = Math.max(0, end - blockBytes);
    const { buffer } = await file.read(Buffer.alloc(end - start), 0, end - start, start);
    const at = buffer.lastIndexOf(10);
    if (at !== -1) return start + at + 1;
  }
  return 0;
}

const hashTail = /,"hash":"[0-9a-f]{64}"\}$/;

function bodyOf(text: string): string {
  return text.replace(hashTail, '}');
}

function parseLine(text: string): AuditLine | undefined {
  if (!hashTail.test(text)) return undefined;
  try {
    // A cast at the boundary to JSON: the hash, which the caller checks, covers every byte of the text.
    const line = JSON.parse(text) as Partial<AuditLine>;
    return typeof line.seq === 'number' && typeof line.prev === 'string'
      ? (line as AuditLine)
      : undefined;
  } catch {
    return undefined;
  }
}
