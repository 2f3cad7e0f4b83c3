/**
 * The hash chain of the audit log: the text of each line contains the hash of the line before it. Pure.
 *
 * @module
 */
import { createHash } from 'node:crypto';
import type { AuditEvent, AuditLine } from './audit-event.ts';

/** `prev` of the first line of all. */
export const chainStart = '0'.repeat(64);

/** The end of the chain: the next line refers to it. */
export interface ChainEnd {
  readonly seq: number;
  readonly hash: string;
}

/** An event that is not written yet. Its text depends on the line before it. */
export interface UnwrittenEvent {
  readonly event: AuditEvent;
  readonly atMs: number;
  readonly commit: number | undefined;
}

/** The lines of events, each with the hash of the one before and a line break, and the new end of the chain. */
export function chainedLines(
  events: readonly UnwrittenEvent[],
  from: ChainEnd,
): { texts: readonly string[]; end: ChainEnd } {
  let end = from;
  const texts = events.map(({ event, atMs, commit }) => {
    const { action, actor, device, remoteAddress, detail } = event;
    const seq = end.seq + 1;
    const at = new Date(atMs).toISOString();
    const fields = { seq, at, action, actor, device, remoteAddress, detail, commit };
    const body = JSON.stringify({ ...fields, prev: end.hash });
    const hash = hashOf(body);
    end = { seq, hash };
    return `${body.slice(0, -1)},"hash":"${hash}"}\n`;
  });
  return { texts, end };
}

/** The hash of a line: over its text without its hash. */
function hashOf(body: string): string {
  return createHash('sha256').update(body).digest('hex');
}

const hashTail = /,"hash":"[0-9a-f]{64}"\}$/;

/** Parses a line without its line break. Undefined when it is none; its hash is not checked. */
export function lineOf(text: string): AuditLine | undefined {
  if (!hashTail.test(text)) return undefined;
  try {
    // A cast at the boundary to JSON: the hash covers every byte of the text.
    const line = JSON.parse(text) as Partial<AuditLine>;
    return typeof line.seq === 'number' && typeof line.prev === 'string'
      ? (line as AuditLine)
      : undefined;
  } catch {
    return undefined;
  }
}

/** Follows a chain line by line. */
export class ChainCheck {
  readonly #noted: ChainEnd | undefined;
  lines = 0;
  /** The newest commit of the registry that has lines; 0: none. */
  commit = 0;
  #end: ChainEnd = { seq: 0, hash: chainStart };

  /** @param noted a line that must be in the chain, as it was recorded elsewhere */
  constructor(noted?: ChainEnd) {
    this.#noted = noted;
  }

  /** The last line that was right. */
  get end(): ChainEnd {
    return this.#end;
  }

  /** @returns what is wrong with the next line; undefined: it is right */
  take(text: string): string | undefined {
    const line = lineOf(text);
    const { seq, hash } = this.#end;
    if (line === undefined) return 'not a line of the audit log';
    if (line.seq !== seq + 1) return `line ${seq + 1} is missing: this is ${line.seq}`;
    if (line.prev !== hash) return 'the line before was changed or replaced';
    if (hashOf(text.replace(hashTail, '}')) !== line.hash) return 'the line was changed';
    if (line.seq === this.#noted?.seq && line.hash !== this.#noted.hash) {
      return 'it is not the line that the registry has recorded';
    }
    this.#end = { seq: line.seq, hash: line.hash };
    this.commit = Math.max(this.commit, line.commit ?? 0);
    this.lines++;
    return undefined;
  }

  /** @returns what is missing after the last line */
  finish(): string | undefined {
    const noted = this.#noted?.seq ?? 0;
    return this.#end.seq >= noted
      ? undefined
      : `lines at the end are missing: the registry has recorded line ${noted}`;
  }
}
