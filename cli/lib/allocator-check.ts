/**
 * Checks that the allocator that the configuration demands is loaded.
 *
 * @module
 */
import type { Config } from '../../core/config/config.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { ownAllocator } from '../../core/telemetry/loaded-allocator.ts';
import { jemallocLibrary } from './allocator.ts';

/** @throws FlotillaError `allocator-missing` */
export function assertAllocator({ memory }: Config): void {
  if (memory.allocator !== 'jemalloc' || ownAllocator === 'jemalloc') return;
  const library = jemallocLibrary();
  throw new FlotillaError('allocator-missing', {
    detail:
      library === undefined
        ? 'libjemalloc.so.2 is not on this machine, or does not work here'
        : `${library} was not loaded: start the program with LD_PRELOAD=${library}`,
  });
}
