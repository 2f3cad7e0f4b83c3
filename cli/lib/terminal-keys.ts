/**
 * Single keys on the terminal of a command, without Enter, while the live screen is open.
 *
 * The terminal is in raw mode meanwhile, in which it sends no signals. They are sent from here, to the whole process group
 * as the terminal does, so that npm and a shell script around the command get them too.
 *
 * @module
 */
import { readFileSync } from 'node:fs';
import type { ReadStream } from 'node:tty';

export interface KeyHandlers {
  /** The key `q`, once. */
  quit(): void;
  /** Before the command is stopped by Ctrl-Z: the shell needs its screen. */
  suspended(): void;
}

const [ctrlC, ctrlZ, ctrlBackslash] = ['\u0003', '\u001A', '\u001C'];

export class TerminalKeys {
  readonly #input: ReadStream;
  readonly #handlers: KeyHandlers;
  readonly #onData = (data: Buffer): void => this.#take(data.toString('latin1'));
  #hasQuit = false;
  #isWatching = false;

  constructor(input: ReadStream, handlers: KeyHandlers) {
    this.#input = input;
    this.#handlers = handlers;
  }

  get isWatching(): boolean {
    return this.#isWatching;
  }

  /**
   * Watches the keys, if the input is a terminal and the command is in the foreground: the kernel stops a command in the
   * background that reads. The keys do not keep the process alive. Called again, because a running
   * command gets no signal when a shell moves it to the foreground.
   */
  watch(): void {
    if (this.#isWatching || !this.#input.isTTY || !isInForeground()) return;
    this.#isWatching = true;
    this.#input.setRawMode(true);
    this.#input.on('data', this.#onData);
    this.#input.resume();
    this.#input.unref();
  }

  /** Gives the terminal its mode from before. Can be called twice. */
  close(): void {
    if (!this.#isWatching) return;
    this.#isWatching = false;
    this.#input.off('data', this.#onData);
    this.#input.pause();
    this.#input.setRawMode(false);
  }

  #take(keys: string): void {
    for (const key of keys) {
      if (key === ctrlC) process.kill(0, 'SIGINT');
      else if (key === ctrlBackslash) process.kill(0, 'SIGQUIT');
      else if (key === ctrlZ) this.#suspend();
      else if (key.toLowerCase() === 'q' && !this.#hasQuit) {
        this.#hasQuit = true;
        this.#handlers.quit();
      }
    }
  }

  #suspend(): void {
    this.close();
    this.#handlers.suspended();
    process.kill(0, 'SIGTSTP');
  }
}

/** Whether the terminal belongs to the process group of this process. */
function isInForeground(): boolean {
  try {
    // The name of the program, in parentheses, may contain spaces.
    const [, fields = ''] = /^.*\) (.*)$/s.exec(readFileSync('/proc/self/stat', 'utf8')) ?? [];
    const [, , group, , , foreground] = fields.split(' ');
    return group !== undefined && group === foreground;
  } catch {
    return false;
  }
}
