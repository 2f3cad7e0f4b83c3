/** A hash of short texts, for tables in memory. @module */

/** Serial numbers, fingerprints and ids differ in their last characters. */
const hashedChars = 24;

/** FNV-1a over the last UTF-16 units, finished so that the low bits depend on all of them. 32 bits, not negative. */
export function textHash(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = Math.max(0, text.length - hashedChars); at < text.length; at++) {
    hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  }
  hash ^= hash >>> 15;
  hash = Math.imul(hash, 0x2c1b3c6d);
  return (hash ^ (hash >>> 13)) >>> 0;
}
