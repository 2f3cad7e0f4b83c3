/**
 * The output of a command. With `--json`: one JSON document on stdout and messages on stderr. Without:
 * text for people on stdout. Only this module and the commands print.
 *
 * Names, groups, attributes and topics come from devices and other people: whatever is printed here has its
 * control characters, C1 controls and direction marks escaped, so that it cannot control the terminal.
 *
 * @module
 */
import { withoutControls } from '../../core/escape.ts';
import { exitCodeOf } from '../../core/errors/error-spec.ts';
import { FlotillaError, messageOf } from '../../core/errors/flotilla-error.ts';
import { printedText, relativeTime, styleOf, widthOf, type Style } from './style.ts';
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
    if (this.json) this.document(document);
    else if (text !== '') this.streams.stdout.write(`${printedText(text)}\n`);
  }

  /** Prints a document as one line of JSON, with or without `--json`. */
  document(document: object): void {
    this.streams.stdout.write(`${jsonText(document)}\n`);
  }

  /** A moment: relative for a person at a terminal, as it is for programs. `-` where there is none. */
  time(iso: string | null | undefined): string {
    if (iso === null || iso === undefined) return '-';
    return this.style.isTerminal ? relativeTime(Date.parse(iso), Date.now()) : iso;
  }

  /** A moment that a person may need exactly: relative and absolute at a terminal, as it is for programs. */
  moment(iso: string | null | undefined): string {
    if (iso === null || iso === undefined || !this.style.isTerminal) return iso ?? '-';
    return `${this.time(iso)} (${iso.slice(0, 16).replace('T', ' ')} UTC)`;
  }

  /** Prints a message that is not part of the result. */
  say(text: string): void {
    (this.json ? this.streams.stderr : this.streams.stdout).write(`${printedText(text)}\n`);
  }

  /** Prints a message that needs attention. */
  warn(text: string): void {
    this.streams.stderr.write(`${printedText(text)}\n`);
  }
}

/** One line of JSON. Its escapes mean the same characters, and show nothing else. */
export function jsonText(document: object): string {
  return withoutControls(JSON.stringify(document));
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
  const warn = (text: string): void => void streams.stderr.write(`${printedText(text)}\n`);
  const name = styleOf(streams.stderr, env).color('red', 'flotilla:');
  if (error instanceof FlotillaError) {
    warn(`${name} ${error.message} [${error.code}]`);
    for (let cause = error.cause; cause instanceof Error; cause = cause.cause) {
      const text = causeText(cause);
      if (!error.message.includes(text)) warn(`  because: ${text}`);
    }
    if (json) {
      const { code, detail, spec } = error;
      const { title, advice } = spec;
      streams.stdout.write(`${jsonText({ error: { code, title, detail, advice } })}\n`);
    }
    return exitCodeOf(error.spec) ?? 1;
  }
  warn(`${name} ${messageOf(error)}`);
  if (
    error instanceof Error &&
    error.stack !== undefined &&
    process.env['FLOTILLA_LOG__LEVEL'] === 'debug'
  ) {
    warn(error.stack);
  }
  if (json) {
    streams.stdout.write(`${jsonText({ error: { code: 'internal', title: messageOf(error) } })}\n`);
  }
  return 1;
}

/** Formats rows in columns; the first row is the heading. */
export function table(rows: readonly (readonly string[])[]): string {
  // A line break in a cell would look like another row.
  const cells = rows.map((row) => row.map((cell) => cell.replaceAll(/[\n\t]/g, '\u{FFFD}')));
  const widths = (cells[0] ?? []).map((_, column) =>
    Math.max(...cells.map((row) => widthOf(row[column] ?? ''))),
  );
  return cells
    .map((row) =>
      row
        .map(
          (cell, column) => cell + ' '.repeat(Math.max(0, (widths[column] ?? 0) - widthOf(cell))),
        )
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
