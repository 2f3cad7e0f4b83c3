/**
 * Notices that files were changed, by looking twenty times a second: works on every file system, over
 * renames and mounts, and costs a few system calls.
 *
 * @module
 */
import { statSync } from 'node:fs';
import type { Cancel, Clock } from '../../core/clock.ts';

const lookEveryMs = 50;

export class FileWatch {
  readonly #clock: Clock;
  readonly #paths: readonly string[];
  readonly #changed: () => Promise<void>;
  #seen = '';
  #acted = '';
  #cancel: Cancel | undefined;
  #looking: Promise<void> = Promise.resolve();
  #stopped = false;

  /** @param changed called when the files have changed and then stood still for one look */
  constructor(clock: Clock, paths: readonly string[], changed: () => Promise<void>) {
    this.#clock = clock;
    this.#paths = paths;
    this.#changed = changed;
  }

  /** Begins; what the files are now counts as known. */
  start(): void {
    this.known();
    this.#arm();
  }

  /** Takes the files as they are now for known: whoever wrote them has told already. */
  known(): void {
    this.#seen = this.#acted = this.#look();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel?.();
    await this.#looking;
  }

  #arm(): void {
    if (this.#stopped) return;
    this.#cancel = this.#clock.after(lookEveryMs, () => {
      this.#looking = this.#compare().finally(() => this.#arm());
    });
  }

  async #compare(): Promise<void> {
    const now = this.#look();
    const still = now === this.#seen;
    this.#seen = now;
    if (!still || now === this.#acted) return;
    this.#acted = now;
    await this.#changed();
  }

  /** In this thread: a look takes microseconds, handing it to another one ten times that. */
  #look(): string {
    return this.#paths.map(markOf).join('\n');
  }
}

function markOf(path: string): string {
  try {
    const { ino, size, mtimeMs, ctimeMs } = statSync(path);
    return `${ino} ${size} ${mtimeMs} ${ctimeMs}`;
  } catch {
    return 'none';
  }
}
