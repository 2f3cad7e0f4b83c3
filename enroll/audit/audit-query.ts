/**
 * Searching the audit log, newest line first. The files are read backward in blocks; a cursor is a place
 * in a file, so that each page costs what it reads and not what came before.
 *
 * @module
 */
import { open } from 'node:fs/promises';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { auditFileNumbers, auditFilePath } from './audit-files.ts';
import type { AuditLine } from './audit-event.ts';

/** Which lines. All conditions must hold. */
export interface AuditFilter {
  readonly device?: string | undefined;
  readonly action?: readonly string[] | undefined;
  readonly actor?: string | undefined;
  readonly sinceMs?: number | undefined;
  readonly untilMs?: number | undefined;
}

export interface AuditQuery extends AuditFilter {
  readonly limit: number;
  /** The `next` of the page before. */
  readonly after?: string | undefined;
}

export interface AuditPage {
  /** Newest first. */
  readonly lines: readonly AuditLine[];
  /** Null at the beginning of the log. A page can be short, or empty, and have a next one. */
  readonly next: string | null;
}

const blockBytes = 256 * 1024;
/** The most that is read for one page. */
const pageMaxBytes = 64 * 1024 * 1024;
/** The longest line; a longer one is damaged. */
const lineMaxBytes = 1024 * 1024;

/** A line and where it begins. */
interface PlacedText {
  readonly text: string;
  readonly file: number;
  readonly start: number;
}

/**
 * One page.
 *
 * @param folder `state.enroll.audit`
 * @throws FlotillaError `request-invalid` when the cursor is not one
 */
export async function queryAudit(folder: string, query: AuditQuery): Promise<AuditPage> {
  const { limit, sinceMs } = query;
  const matches = auditMatcher(query);
  const fits = textTest(query);
  const lines: AuditLine[] = [];
  const budget = { bytes: pageMaxBytes };
  let last: PlacedText | undefined;
  for await (const placed of textsBackward(folder, startOf(query.after), budget)) {
    if (lines.length === limit) return { lines, next: cursorOf(last) };
    last = placed;
    if (!fits(placed.text)) continue;
    const line = parsed(placed.text);
    if (line === undefined) continue;
    if (sinceMs !== undefined && Date.parse(line.at) < sinceMs) return { lines, next: null };
    if (matches(line)) lines.push(line);
  }
  return { lines, next: budget.bytes > 0 ? null : cursorOf(last) };
}

/** A test for a filter. */
export function auditMatcher(filter: AuditFilter): (line: AuditLine) => boolean {
  const { device, action, actor, sinceMs, untilMs } = filter;
  return (line) => {
    if (device !== undefined && line.device !== device) return false;
    if (action !== undefined && !action.includes(line.action)) return false;
    if (actor !== undefined && line.actor !== actor && !line.actor.startsWith(`${actor}/`)) {
      return false;
    }
    if (sinceMs === undefined && untilMs === undefined) return true;
    const atMs = Date.parse(line.at);
    return atMs >= (sinceMs ?? 0) && atMs <= (untilMs ?? Infinity);
  };
}

/** A quick test of the text, so that most lines need not be parsed. */
function textTest({ device, sinceMs }: AuditFilter): (text: string) => boolean {
  // Whether the search is over is only seen in a parsed line.
  if (device === undefined || sinceMs !== undefined) return () => true;
  const part = `"device":${JSON.stringify(device)}`;
  return (text) => text.includes(part);
}

function parsed(text: string): AuditLine | undefined {
  try {
    // The seam to JSON: our own log wrote the line; `verifyAudit` proves it.
    const line = JSON.parse(text) as Partial<AuditLine>;
    return typeof line.seq === 'number' && typeof line.at === 'string' && line.actor !== undefined
      ? (line as AuditLine)
      : undefined;
  } catch {
    return undefined;
  }
}

async function* textsBackward(
  folder: string,
  from: { file: number; end: number } | undefined,
  budget: { bytes: number },
): AsyncGenerator<PlacedText> {
  for (const number of (await auditFileNumbers(folder)).reverse()) {
    if (from !== undefined && number > from.file) continue;
    const file = await open(auditFilePath(folder, number), 'r');
    try {
      const { size } = await file.stat();
      let end = from?.file === number ? Math.min(from.end, size) : size;
      /** The bytes behind the block that was read last, up to the next end of a line. */
      let rest = Buffer.alloc(0);
      while (end > 0 && budget.bytes > 0 && rest.length < lineMaxBytes) {
        const length = Math.min(blockBytes, end);
        const { buffer } = await file.read(Buffer.alloc(length), 0, length, end - length);
        budget.bytes -= length;
        end -= length;
        const bytes = Buffer.concat([buffer, rest]);
        let lineEnd = bytes.length;
        for (
          let at = bytes.lastIndexOf(10, lineEnd - 1);
          at !== -1;
          at = at === 0 ? -1 : bytes.lastIndexOf(10, at - 1)
        ) {
          if (lineEnd > at + 1) {
            yield {
              text: bytes.toString('utf8', at + 1, lineEnd),
              file: number,
              start: end + at + 1,
            };
          }
          lineEnd = at;
        }
        rest = bytes.subarray(0, lineEnd);
      }
      if (end === 0 && rest.length > 0)
        yield { text: rest.toString('utf8'), file: number, start: 0 };
    } finally {
      await file.close();
    }
    if (budget.bytes <= 0) return;
  }
}

function cursorOf(last: PlacedText | undefined): string | null {
  return last === undefined ? null : `${last.file}.${last.start}`;
}

function startOf(cursor: string | undefined): { file: number; end: number } | undefined {
  if (cursor === undefined) return undefined;
  const [, file, end] = /^(\d{1,9})\.(\d{1,15})$/.exec(cursor) ?? [];
  if (file === undefined || end === undefined) {
    throw new FlotillaError('request-invalid', { detail: 'query.after is not a cursor' });
  }
  return { file: Number(file), end: Number(end) };
}
