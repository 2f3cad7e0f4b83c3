/**
 * The setting that a misspelled one most likely means.
 *
 * @module
 */
import { z } from 'zod';
import { similarName } from './similar-name.ts';

/** A file can have many unknown settings, and the description of a large schema takes 40 ms. */
const descriptions = new WeakMap<z.ZodType, unknown>();

/**
 * `; did you mean names?`, for the text of a fault.
 *
 * @param schema the schema of the whole document
 * @param path the place of the unknown setting; ends with its name
 * @returns an empty text if no setting at this place has a similar name
 */
export function settingSuggestion(schema: z.ZodType, path: readonly PropertyKey[]): string {
  const parents = path.slice(0, -1);
  const places = parents.reduce<unknown[]>(
    (holders, part) => holders.flatMap((holder) => valuesAt(holder, String(part))),
    alternatives(described(schema)),
  );
  const known = places.flatMap((place) => Object.keys(recordAt(place, 'properties')));
  const similar = similarName(String(path.at(-1)), known);
  return similar === undefined ? '' : `; did you mean ${similar}?`;
}

/** The schema as JSON Schema. */
function described(schema: z.ZodType): unknown {
  const known = descriptions.get(schema);
  if (known !== undefined) return known;
  const description: unknown = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });
  descriptions.set(schema, description);
  return description;
}

/** The JSON Schemas of a property or an item. */
function valuesAt(schema: unknown, name: string): unknown[] {
  const properties = recordAt(schema, 'properties');
  if (Object.hasOwn(properties, name)) return alternatives(properties[name]);
  return [recordAt(schema, 'additionalProperties'), recordAt(schema, 'items')].flatMap(
    alternatives,
  );
}

/** A JSON Schema and what it combines: the value may have the settings of any of them. */
function alternatives(schema: unknown): unknown[] {
  const combined = ['anyOf', 'oneOf', 'allOf'].flatMap((name) => {
    const list: unknown = isRecord(schema) ? schema[name] : undefined;
    return Array.isArray(list) ? list.flatMap(alternatives) : [];
  });
  return [schema, ...combined];
}

function recordAt(value: unknown, name: string): Record<string, unknown> {
  const inner = isRecord(value) ? value[name] : undefined;
  return isRecord(inner) ? inner : {};
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
