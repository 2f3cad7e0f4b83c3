/**
 * Reads the audit log: verifies the chain, and returns the last lines.
 *
 * @module
 */
import { open } from 'node:fs/promises';
import {
  auditFileNumbers,
  auditFilePath,
  chainStart,
  hashOf,
  type AuditLine,
} from './audit-log.ts';

export interface AuditVerdict {
  readonly ok: boolean;
  /** The number of lines that were verified. */
  readonly lines: number;
  readonly files: number;
  /** The last verified line. Record it elsewhere to detect that later lines were removed. */
  readonly head: { readonly seq: number; readonly hash: string } | null;
  /** The result as one line of text. */
  readonly detail: string;
  /** The first fault that was found. */
  readonly fault: { readonly file: string; readonly line: number; readonly reason: string } | null;
}

/**
 * Follows the chain from the first line to the last.
 *
 * @param folder `state.enroll.audit`
 */
export async function verifyAudit(folder: string): Promise<AuditVerdict> {
  let lines = 0;
  let seq = 0;
  let hash = chainStart;
  const numbers = await auditFileNumbers(folder);
  const verdict = (fault: AuditVerdict['fault']): AuditVerdict => ({
    ok: fault === null,
    lines,
    files: numbers.length,
    detail:
      fault === null
        ? `${lines} lines, last hash ${hash}`
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
                : undefined;
      if (line === undefined || reason !== undefined) {
        return verdict({ file: path, line: inFile, reason: reason ?? '' });
      }
      ({ seq, hash } = line);
      lines++;
    }
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
    yield* file.readLines({ autoClose: false });
  } finally {
    await file.close();
  }
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
