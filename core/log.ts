/**
 * The log: pino, JSON lines on stderr, secrets cut out before they are written.
 *
 * @module
 */
import { pino, type DestinationStream, type Logger } from 'pino';

export type { Logger } from 'pino';

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';

/** Names of fields that hold secrets, wherever they occur. */
export const secretNames: readonly string[] = [
  'token',
  'password',
  'passphrase',
  'secret',
  'key',
  'privateKey',
  'authorization',
  'hmac',
];

/** Paths that are redacted wherever a log line carries them, at the top and one or two levels down. */
export const redactedPaths: readonly string[] = secretNames.flatMap((name) => [
  name,
  `*.${name}`,
  `*.*.${name}`,
]);

export interface LogOptions {
  readonly level: LogLevel;
  /** stderr unless told. */
  readonly destination?: DestinationStream;
}

/** Makes the root log of a process. */
export function createLog(options: LogOptions): Logger {
  return pino(
    {
      level: options.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: { paths: [...redactedPaths], censor: '[redacted]' },
      formatters: { level: (label) => ({ level: label }) },
    },
    options.destination ?? pino.destination({ fd: 2, sync: true }),
  );
}

/** A log that says nothing. */
export const silentLog: Logger = pino({ level: 'silent' });
