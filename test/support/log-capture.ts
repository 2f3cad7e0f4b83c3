/**
 * A log that a test can read.
 *
 * @module
 */
import { createLog, type LogLevel, type Logger } from '../../core/log.ts';

export interface LogCapture {
  readonly log: Logger;
  /** All lines so far, parsed. */
  readonly lines: readonly Readonly<Record<string, unknown>>[];
  /** All lines so far as text, to be searched for secrets. */
  readonly text: () => string;
}

/** Creates a real log, with redaction, that writes to memory. */
export function captureLog(level: LogLevel = 'trace'): LogCapture {
  const lines: Readonly<Record<string, unknown>>[] = [];
  let written = '';
  const log = createLog({
    level,
    destination: {
      write(line) {
        written += line;
        lines.push(JSON.parse(line) as Readonly<Record<string, unknown>>);
      },
    },
  });
  return { log, lines, text: () => written };
}
