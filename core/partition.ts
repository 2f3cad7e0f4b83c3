/**
 * The partitions of a fleet: each identity belongs to one of them, and each topic with a retained message is ordered by
 * one of them. The number of partitions never changes, so every node finds the same one without asking.
 *
 * @module
 */

const offsetBasis = 0x811c9dc5;
const prime = 0x01000193;

/**
 * The partition of a key: FNV-1a with 32 bits over its UTF-8 bytes, modulo the number of partitions.
 *
 * @param key an identity or a topic
 * @param count the number of partitions, 1 or more
 */
export function partitionOf(key: string, count: number): number {
  let hash = offsetBasis;
  for (let at = 0; at < key.length; at++) {
    const code = key.charCodeAt(at);
    if (code > 0x7f) return hashOf(Buffer.from(key, 'utf8')) % count;
    hash = Math.imul(hash ^ code, prime);
  }
  return (hash >>> 0) % count;
}

function hashOf(bytes: Uint8Array): number {
  let hash = offsetBasis;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, prime);
  return hash >>> 0;
}

/** The name of a partition, which is also that of its store: `p0` for the first one. */
export function partitionName(index: number): string {
  return `p${index}`;
}
