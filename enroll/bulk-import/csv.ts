/**
 * A reader for CSV (RFC 4180).
 *
 * @module
 */

/** One record, and the line of the text on which it begins. */
export interface CsvRecord {
  readonly line: number;
  readonly fields: readonly string[];
}

/**
 * Reads records. Line ends are CRLF or LF; a field in double quotes may contain both, and `""` for a quote.
 * Empty lines are skipped. A quote that is never closed ends with the text.
 */
export function* csvRecords(text: string): Generator<CsvRecord> {
  let fields: string[] = [];
  let field = '';
  let quoted = false;
  let line = 1;
  let startLine = 1;
  for (let at = 0; at <= text.length; at++) {
    const character = text[at];
    if (quoted && character !== undefined) {
      if (character !== '"') field += character;
      else if (text[at + 1] === '"') field += text[at++] ?? '';
      else quoted = false;
      if (character === '\n') line++;
      continue;
    }
    if (character === '"' && field === '') quoted = true;
    else if (character === ',') {
      fields.push(field);
      field = '';
    } else if (character === '\n' || character === undefined) {
      fields.push(field.endsWith('\r') ? field.slice(0, -1) : field);
      if (fields.length > 1 || fields[0] !== '') yield { line: startLine, fields };
      fields = [];
      field = '';
      if (character === '\n') line++;
      startLine = line;
    } else field += character;
  }
}
