/**
 * One process at a time writes a registry folder.
 *
 * @module
 */
import { join } from 'node:path';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { lockFile } from '../../core/folder-lock.ts';
import type { Logger } from '../../core/log.ts';

export class RegistryLock {
  #lost: FlotillaError | undefined;
  #unlock: () => Promise<void> = () => Promise.resolve();

  /** @throws FlotillaError `registry-locked` */
  static async take(folder: string, log: Logger): Promise<RegistryLock> {
    const lock = new RegistryLock();
    lock.#unlock = await lockFile(join(folder, 'lock'), {
      code: 'registry-locked',
      lost(error) {
        lock.#lost = error;
        log.fatal({ err: error }, 'another process uses the registry: no changes are written');
      },
    });
    return lock;
  }

  /** Whether another process took the folder while this one was paused. */
  get isLost(): boolean {
    return this.#lost !== undefined;
  }

  /** @throws FlotillaError `registry-unavailable` when this process must not write any more */
  assertHeld(): void {
    if (this.#lost === undefined) return;
    throw new FlotillaError('registry-unavailable', { cause: this.#lost });
  }

  release(): Promise<void> {
    return this.#unlock();
  }
}
