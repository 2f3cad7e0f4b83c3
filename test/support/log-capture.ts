/**
 * A log that a test can read.
 *
 * @module
 */
import { createLog, type LogLevel, type Logger } from '../../core/log.ts';

export interface LogCapture {
  readonly log: Logger;
  /** Every line so far, parsed. */
  readonly lines: readonly Readonly<Record<string, unknown>>[];
  /** Every line so far, as written: what a search for a secret must look at. */
  readonly text: () => string;
}

/** Makes a real log (redaction included) that writes into memory. */
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
