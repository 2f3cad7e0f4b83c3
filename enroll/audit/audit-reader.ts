/**
 * Reads the audit log: verifies the chain, and returns the last lines.
 *
 * @module
 */
import { open, type FileHandle } from 'node:fs/promises';
import { amountText } from '../../core/amount-text.ts';
import { ChainCheck, lineOf, type ChainEnd } from './audit-chain.ts';
import { auditFileNumbers, auditFilePath } from './audit-files.ts';
import type { AuditLine } from './audit-event.ts';

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
export async function verifyAudit(folder: string, noted?: ChainEnd): Promise<AuditVerdict> {
  const check = new ChainCheck(noted);
  const numbers = await auditFileNumbers(folder);
  for (const [at, number] of numbers.entries()) {
    const file = auditFilePath(folder, number);
    if (number !== at + 1) {
      const reason = 'a file before this one is missing';
      return auditVerdict(check, numbers.length, { file, line: 0, reason });
    }
    let line = 0;
    for await (const text of linesOf(file)) {
      line++;
      const reason = check.take(text);
      if (reason !== undefined) return auditVerdict(check, numbers.length, { file, line, reason });
    }
  }
  const reason = check.finish();
  const file = auditFilePath(folder, numbers.at(-1) ?? 1);
  return auditVerdict(
    check,
    numbers.length,
    reason === undefined ? null : { file, line: 0, reason },
  );
}

/** The result of a check of `files` files. */
export function auditVerdict(
  { lines, commit, end }: ChainCheck,
  files: number,
  fault: AuditVerdict['fault'],
): AuditVerdict {
  return {
    ok: fault === null,
    lines,
    commit,
    files,
    detail:
      fault === null
        ? `${amountText(lines, 'line')}, last hash ${end.hash}`
        : `${fault.file}, line ${fault.line}: ${fault.reason}`,
    head: lines === 0 ? null : end,
    fault,
  };
}

/** The last `count` lines, oldest first. */
export async function tailAudit(folder: string, count: number): Promise<AuditLine[]> {
  return (await tailTexts(folder, count)).flatMap((text) => lineOf(text) ?? []);
}

/** The same as they are in the files. */
export async function tailTexts(folder: string, count: number): Promise<string[]> {
  const found: string[] = [];
  for (const number of (await auditFileNumbers(folder)).reverse()) {
    const lines: string[] = [];
    for await (const text of linesOf(auditFilePath(folder, number))) {
      if (lineOf(text) !== undefined) lines.push(text);
      if (lines.length > 2 * count) lines.splice(0, lines.length - count);
    }
    found.unshift(...lines.slice(-(count - found.length)));
    if (found.length >= count) break;
  }
  return count === 0 ? [] : found;
}

/** All lines as they are in the files, oldest first. A line at the end that is not complete is not read. */
export async function* auditTexts(folder: string): AsyncGenerator<string> {
  for (const number of await auditFileNumbers(folder)) {
    yield* linesOf(auditFilePath(folder, number));
  }
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
