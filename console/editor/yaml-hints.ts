/**
 * Where a position of a YAML text is in its document, and what a JSON Schema says about that place. The text
 * may be incomplete, because a person is writing it: only indentation counts.
 *
 * @module
 */

/** A part of a JSON Schema, as far as hints need it. */
export interface HintSchema {
  readonly description?: string;
  readonly properties?: Readonly<Record<string, HintSchema>>;
  readonly additionalProperties?: boolean | HintSchema;
  readonly items?: HintSchema;
  readonly anyOf?: readonly HintSchema[];
  readonly oneOf?: readonly HintSchema[];
  readonly enum?: readonly unknown[];
  readonly const?: string | number | boolean | null;
  readonly type?: string;
}

/** A key, or an entry of a list. */
type YamlStep = string | typeof listEntry;
const listEntry = 0;

interface YamlLine {
  /** The columns of the hyphens that begin entries of lists. */
  readonly hyphens: readonly number[];
  /** The column where the content begins. */
  readonly column: number;
  readonly key: string | undefined;
}

const keyPattern = /^(?:"([^"]*)"|'([^']*)'|([^\s#'"[\]{},:&*!|>%@`-][^#:]*?)):(?:\s|$)/;

/** The keys and entries that contain a column of a line. Lines count from 0. */
export function yamlPath(lines: readonly string[], line: number, column: number): YamlStep[] {
  const path: YamlStep[] = [];
  const text = lines[line] ?? '';
  const own = readLine(text);
  const start = text.trim() === '' ? column : own.column;
  const limits = { key: start, hyphen: start };
  leaveEntries(path, own.hyphens, limits);
  for (let at = line - 1; at >= 0 && limits.key > 0; at--) {
    const other = lines[at] ?? '';
    if (/^\s*(?:#|$)/.test(other)) continue;
    const above = readLine(other);
    if (above.key !== undefined && above.column < limits.key) {
      path.unshift(above.key);
      limits.key = above.column;
      limits.hyphen = above.column;
    }
    leaveEntries(path, above.hyphens, limits);
  }
  return path;
}

/** The key that a line defines, with the path of the mapping that it belongs to. */
export function yamlKeyAt(
  lines: readonly string[],
  line: number,
): { readonly key: string; readonly column: number; readonly path: YamlStep[] } | undefined {
  const { key, column } = readLine(lines[line] ?? '');
  return key === undefined ? undefined : { key, column, path: yamlPath(lines, line, column) };
}

/** All parts of a schema that describe a place. */
export function schemasAt(schema: HintSchema, path: readonly YamlStep[]): HintSchema[] {
  let current = alternatives(schema);
  for (const step of path) {
    current = current.flatMap((one) => alternatives(childOf(one, step)));
  }
  return current;
}

export interface Hint {
  readonly label: string;
  readonly description: string | undefined;
}

/** The keys that a mapping can have. */
export function keyHints(schemas: readonly HintSchema[]): Hint[] {
  const found = new Map<string, Hint>();
  for (const { properties } of schemas) {
    for (const [label, { description }] of Object.entries(properties ?? {})) {
      if (!found.has(label)) found.set(label, { label, description });
    }
  }
  return [...found.values()];
}

/** The values that are named in a schema, those of list entries included. */
export function valueHints(schemas: readonly HintSchema[]): Hint[] {
  const labels = schemas.flatMap((schema): string[] => [
    ...(schema.enum ?? []).map(String),
    ...(schema.const === undefined ? [] : [String(schema.const)]),
    ...(schema.type === 'boolean' ? ['true', 'false'] : []),
    ...valueHints(alternatives(schema.items)).map(({ label }) => label),
  ]);
  return [...new Set(labels)].map((label) => ({ label, description: undefined }));
}

/** What a schema says about a key; undefined when it says nothing. */
export function descriptionOf(schema: HintSchema, path: readonly YamlStep[]): string | undefined {
  const [key] = path.slice(-1);
  if (typeof key !== 'string') return undefined;
  const parents = schemasAt(schema, path.slice(0, -1));
  return keyHints(parents).find(({ label }) => label === key)?.description;
}

/** Adds an entry for each hyphen left of the limit. A list may begin in the column of its key. */
function leaveEntries(
  path: YamlStep[],
  hyphens: readonly number[],
  limits: { key: number; hyphen: number },
): void {
  for (const hyphen of hyphens.toReversed()) {
    if (hyphen >= limits.hyphen) continue;
    path.unshift(listEntry);
    limits.hyphen = hyphen;
    limits.key = hyphen + 0.5;
  }
}

function readLine(text: string): YamlLine {
  const [start = ''] = /^\s*(?:-\s+|-$)*/.exec(text) ?? [];
  const hyphens = [...start.matchAll(/-/g)].map(({ index }) => index);
  const [, double, single, plain] = keyPattern.exec(text.slice(start.length)) ?? [];
  return { hyphens, column: start.length, key: double ?? single ?? plain };
}

function alternatives(schema: HintSchema | undefined): HintSchema[] {
  if (schema === undefined) return [];
  const { anyOf = [], oneOf = [] } = schema;
  return [schema, ...[...anyOf, ...oneOf].flatMap((one) => alternatives(one))];
}

function childOf(schema: HintSchema, step: YamlStep): HintSchema | undefined {
  if (step === listEntry) return schema.items;
  const { properties, additionalProperties } = schema;
  if (properties !== undefined && Object.hasOwn(properties, step)) return properties[step];
  return typeof additionalProperties === 'object' ? additionalProperties : undefined;
}
