/**
 * Keys that a YAML document has twice. The check of the parser compares each key with all others, so that a map of
 * 20,000 keys takes half a minute.
 *
 * @module
 */
import { isScalar, visit, type Document } from 'yaml';

/** The offset of the first key that its map has already; undefined when there is none. Linear time. */
export function repeatedKey(document: Document.Parsed): number | undefined {
  let offset: number | undefined;
  visit(document, {
    Map(_key, { items }) {
      const seen = new Set<unknown>();
      for (const { key } of items) {
        if (!isScalar(key)) continue;
        if (seen.has(key.value)) {
          offset = key.range?.[0] ?? 0;
          return visit.BREAK;
        }
        seen.add(key.value);
      }
      return undefined;
    },
  });
  return offset;
}
