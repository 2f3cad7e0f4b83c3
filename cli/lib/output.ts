/**
 * The output of a command. With `--json`: one JSON document on stdout and messages on stderr. Without:
 * text for people on stdout. Only this module and the commands print.
 *
 * @module
 */
import { exitCodeOf } from '../../core/errors/error-spec.ts';
import { FlotillaError, messageOf } from '../../core/errors/flotilla-error.ts';

export interface Streams {
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WritableStream;
}

export class Output {
  readonly json: boolean;
  readonly streams: Streams;

  constructor(json: boolean, streams: Streams) {
    this.json = json;
    this.streams = streams;
  }

  /** Prints the result: the document with `--json`, otherwise the text. */
  result(document: object, text: string): void {
    const line = this.json ? JSON.stringify(document) : text;
    if (line !== '') this.streams.stdout.write(`${line}\n`);
  }

  /** Prints a message that is not part of the result. */
  say(text: string): void {
    (this.json ? this.streams.stderr : this.streams.stdout).write(`${text}\n`);
  }

  /** Prints a message that needs attention. */
  warn(text: string): void {
    this.streams.stderr.write(`${text}\n`);
  }
}

/**
 * Prints a failure as text on stderr, and with `--json` also as a document on stdout.
 *
 * @returns the exit code
 */
export function printError(error: unknown, json: boolean, streams: Streams): number {
  if (error instanceof FlotillaError) {
    streams.stderr.write(`flotilla: ${error.message} [${error.code}]\n`);
    for (let cause = error.cause; cause instanceof Error; cause = cause.cause) {
      if (!error.message.includes(cause.message))
        streams.stderr.write(`  because: ${cause.message}\n`);
    }
    if (json) {
      const { code, detail, spec } = error;
      streams.stdout.write(
        `${JSON.stringify({ error: { code, title: spec.title, detail, advice: spec.advice } })}\n`,
      );
    }
    return exitCodeOf(error.spec) ?? 1;
  }
  streams.stderr.write(`flotilla: ${messageOf(error)}\n`);
  if (
    error instanceof Error &&
    error.stack !== undefined &&
    process.env['FLOTILLA_LOG__LEVEL'] === 'debug'
  ) {
    streams.stderr.write(`${error.stack}\n`);
  }
  if (json)
    streams.stdout.write(
      `${JSON.stringify({ error: { code: 'internal', title: messageOf(error) } })}\n`,
    );
  return 1;
}

/** Formats rows in columns; the first row is the heading. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? '').length)),
  );
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
