/**
 * Detects changed files by checking them 20 times per second. This works on every file system and with
 * renames and mounts, and takes a few system calls.
 *
 * @module
 */
import { statSync } from 'node:fs';
import type { Cancel, Clock } from '../../core/clock.ts';

const checkIntervalMs = 50;

export class FileWatch {
  readonly #clock: Clock;
  readonly #paths: readonly string[];
  readonly #changed: () => Promise<void>;
  #lastState = '';
  #handledState = '';
  #cancel: Cancel | undefined;
  #checking: Promise<void> = Promise.resolve();
  #stopped = false;

  /** @param changed called when the files have changed and then stayed the same for one interval */
  constructor(clock: Clock, paths: readonly string[], changed: () => Promise<void>) {
    this.#clock = clock;
    this.#paths = paths;
    this.#changed = changed;
  }

  /** Starts to watch for changes from the current state. */
  start(): void {
    this.acceptCurrent();
    this.#schedule();
  }

  /** Marks the current state as handled, because the caller wrote the files itself. */
  acceptCurrent(): void {
    this.#lastState = this.#handledState = this.#readState();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel?.();
    await this.#checking;
  }

  #schedule(): void {
    if (this.#stopped) return;
    this.#cancel = this.#clock.after(checkIntervalMs, () => {
      this.#checking = this.#check().finally(() => this.#schedule());
    });
  }

  async #check(): Promise<void> {
    const state = this.#readState();
    const stable = state === this.#lastState;
    this.#lastState = state;
    if (!stable || state === this.#handledState) return;
    this.#handledState = state;
    await this.#changed();
  }

  /** Synchronous: this takes microseconds, and a thread switch ten times as long. */
  #readState(): string {
    return this.#paths.map(fileState).join('\n');
  }
}

function fileState(path: string): string {
  try {
    const { ino, size, mtimeMs, ctimeMs } = statSync(path);
    return `${ino} ${size} ${mtimeMs} ${ctimeMs}`;
  } catch {
    return 'none';
  }
}
