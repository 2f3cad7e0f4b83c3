/**
 * A YAML document that can report every error with its line and column.
 *
 * @module
 */
import { isMap, isNode, isScalar, LineCounter, parseDocument, type Document } from 'yaml';
import { repeatedKey } from '../repeated-key.ts';
import type { z } from 'zod';
import type { ErrorCode } from '../errors/catalogue.ts';
import { FlotillaError, messageOf } from '../errors/flotilla-error.ts';
import { faultOf } from '../issue-text.ts';
import { settingSuggestion } from '../setting-suggestion.ts';

/** The path of a node: keys and indices. */
export type Path = readonly (string | number)[];

/** A parsed YAML document. */
export interface Source {
  readonly value: unknown;
  at(path: Path, what: string): FlotillaError;
  /** The first fault of a value that does not fit a schema. */
  fault(issues: readonly z.core.$ZodIssue[], schema: z.ZodType): FlotillaError;
}

/**
 * Parses one YAML document.
 *
 * @param code the code of the errors
 * @throws FlotillaError `code`, with line and column if they are known
 */
export function readYaml(text: string, maxBytes: number, code: ErrorCode): Source {
  const bytes = Buffer.byteLength(text);
  if (bytes > maxBytes) {
    throw new FlotillaError(code, { detail: `${bytes} bytes; the maximum is ${maxBytes}` });
  }
  const lines = new LineCounter();
  const place = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `line ${line}, column ${col}`;
  };
  let document: Document.Parsed;
  let value: unknown;
  try {
    document = parseDocument(text, { lineCounter: lines, uniqueKeys: false, prettyErrors: false });
    const [error] = document.errors;
    if (error !== undefined) {
      throw new FlotillaError(code, {
        detail: `${place(error.pos[0])}: ${error.message}`,
      });
    }
    const repeated = repeatedKey(document);
    if (repeated !== undefined) {
      throw new FlotillaError(code, { detail: `${place(repeated)}: Map keys must be unique` });
    }
    value = document.toJS({ maxAliasCount: 0 }) as unknown;
  } catch (error) {
    if (error instanceof FlotillaError) throw error;
    throw new FlotillaError(code, { detail: messageOf(error), cause: error });
  }
  const at = (path: Path, what: string): FlotillaError => {
    const where = place(offsetOf(document, path));
    return new FlotillaError(code, { detail: `${where}: ${path.join('.')}: ${what}` });
  };
  return {
    value,
    at,
    fault(issues, schema) {
      const [issue] = issues;
      if (issue === undefined) return new FlotillaError(code);
      const { path, text, unknownKey } = faultOf(issue);
      return at(
        path.map((part) => (typeof part === 'number' ? part : String(part))),
        unknownKey === undefined ? text : `unknown setting${settingSuggestion(schema, path)}`,
      );
    },
  };
}

/** The offset in the text of the node at a path, or of its nearest parent. */
function offsetOf(document: Document.Parsed, path: Path): number {
  for (let length = path.length; length > 0; length--) {
    const holder: unknown = document.getIn(path.slice(0, length - 1), true);
    const last = path[length - 1];
    if (isMap(holder)) {
      const pair = holder.items.find((item) => isScalar(item.key) && item.key.value === last);
      if (pair !== undefined && isNode(pair.key)) return pair.key.range?.[0] ?? 0;
    }
    const node: unknown = document.getIn(path.slice(0, length), true);
    if (isNode(node)) return node.range?.[0] ?? 0;
  }
  return 0;
}
