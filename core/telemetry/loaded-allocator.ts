/**
 * Which library allocates the native memory of this process.
 *
 * @module
 */
import { readFileSync } from 'node:fs';

/** The library that was loaded before the C library: `jemalloc`, another known one, or `system`. */
export function loadedAllocator(maps: string = ownMaps()): string {
  return /\/lib(jemalloc|tcmalloc|mimalloc)[^/\n]*\.so/.exec(maps)?.[1] ?? 'system';
}

/** {@link loadedAllocator} of this process: it does not change. */
export const ownAllocator = loadedAllocator();

/** Empty where the kernel has no such file, as on macOS. */
function ownMaps(): string {
  try {
    return readFileSync('/proc/self/maps', 'utf8');
  } catch {
    return '';
  }
}
