/**
 * Reads the rows of an import from CSV or JSON lines.
 *
 * The first line of CSV contains the column names: `id`, and any of `group`, `role`, `profile`, `token`,
 * `attr:NAME`.
 * JSON lines are objects with the same names, and with `attributes` as an object.
 *
 * @module
 */
import { importRowSchema, type ImportRow } from '../../core/protocol/enrollment-api.ts';
import { FlotillaError, messageOf } from '../../core/errors/flotilla-error.ts';
import { issuesText } from '../../core/issue-text.ts';
import { parsedJson } from '../../core/json-text.ts';
import { csvRecords } from './csv.ts';

export interface ReadRow {
  /** The line of the text, from 1. */
  readonly line: number;
  /** Undefined when there is a `fault`. */
  readonly row: ImportRow | undefined;
  readonly fault: string;
}

/** @throws FlotillaError `request-invalid` when the first line does not name the columns */
export function* csvRows(text: string): Generator<ReadRow> {
  const records = csvRecords(text);
  const first = records.next();
  const names = first.done === true ? [] : first.value.fields.map((name) => name.trim());
  const known = names.every(
    (name) =>
      /^(?:id|group|role|profile|token|attr:.{1,64})$/.test(name) && name !== 'attr:__proto__',
  );
  if (!names.includes('id') || !known || new Set(names).size !== names.length) {
    throw new FlotillaError('request-invalid', {
      detail: 'the first line must name the columns: id, group, role, profile, token, attr:NAME',
    });
  }
  for (const { line, fields } of records) {
    const row: Record<string, unknown> = {};
    const attributes: [string, string][] = [];
    for (const [at, name] of names.entries()) {
      const value = fields[at] ?? '';
      if (value === '') continue;
      if (name.startsWith('attr:')) attributes.push([name.slice('attr:'.length), value]);
      else row[name] = value;
    }
    if (attributes.length > 0) row['attributes'] = Object.fromEntries(attributes);
    if (fields.length > names.length) yield { line, row: undefined, fault: 'too many fields' };
    else yield checked(line, row);
  }
}

export function* jsonRows(text: string): Generator<ReadRow> {
  let line = 0;
  for (const json of text.split('\n')) {
    line++;
    if (json.trim() === '') continue;
    let row: unknown;
    try {
      row = parsedJson(json);
    } catch (error) {
      const fault = error instanceof SyntaxError ? 'not JSON' : messageOf(error);
      yield { line, row: undefined, fault };
      continue;
    }
    yield checked(line, row);
  }
}

function checked(line: number, value: unknown): ReadRow {
  const result = importRowSchema.safeParse(value);
  if (result.success) return { line, row: result.data, fault: '' };
  const fault = issuesText(result.error.issues.slice(0, 1)).slice(0, 200);
  return { line, row: undefined, fault };
}
