/**
 * The output of a command. With `--json`: one JSON document on stdout and messages on stderr. Without:
 * text for people on stdout. Only this module and the commands print.
 *
 * @module
 */
import { stripVTControlCharacters } from 'node:util';
import { exitCodeOf } from '../../core/errors/error-spec.ts';
import { FlotillaError, messageOf } from '../../core/errors/flotilla-error.ts';
import { relativeTime, styleOf, type Style } from './style.ts';
import { causeText, withCatalogueCode } from './system-error.ts';

export interface Streams {
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WritableStream;
}

export class Output {
  readonly json: boolean;
  readonly streams: Streams;
  /** How text on stdout looks. */
  readonly style: Style;

  constructor(json: boolean, streams: Streams, env: Readonly<Record<string, string | undefined>>) {
    this.json = json;
    this.streams = streams;
    this.style = styleOf(streams.stdout, env);
  }

  /** Prints the result: the document with `--json`, otherwise the text. */
  result(document: object, text: string): void {
    const line = this.json ? JSON.stringify(document) : text;
    if (line !== '') this.streams.stdout.write(`${line}\n`);
  }

  /** A moment: relative for a person at a terminal, as it is for programs. `-` where there is none. */
  time(iso: string | null | undefined): string {
    if (iso === null || iso === undefined) return '-';
    return this.style.isTerminal ? relativeTime(Date.parse(iso), Date.now()) : iso;
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
export function printError(
  thrown: unknown,
  json: boolean,
  streams: Streams,
  env: Readonly<Record<string, string | undefined>> = {},
): number {
  const error = withCatalogueCode(thrown);
  const name = styleOf(streams.stderr, env).color('red', 'flotilla:');
  if (error instanceof FlotillaError) {
    streams.stderr.write(`${name} ${error.message} [${error.code}]\n`);
    for (let cause = error.cause; cause instanceof Error; cause = cause.cause) {
      const text = causeText(cause);
      if (!error.message.includes(text)) streams.stderr.write(`  because: ${text}\n`);
    }
    if (json) {
      const { code, detail, spec } = error;
      streams.stdout.write(
        `${JSON.stringify({ error: { code, title: spec.title, detail, advice: spec.advice } })}\n`,
      );
    }
    return exitCodeOf(error.spec) ?? 1;
  }
  streams.stderr.write(`${name} ${messageOf(error)}\n`);
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
    Math.max(...rows.map((row) => width(row[column] ?? ''))),
  );
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell + ' '.repeat(Math.max(0, (widths[column] ?? 0) - width(cell))))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** The columns that a text takes, without its colors. */
function width(text: string): number {
  return stripVTControlCharacters(text).length;
}
