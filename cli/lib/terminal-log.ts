/**
 * Where the log goes while the live screen is open: lines written to the terminal would destroy the
 * screen, so they wait until it closes, and the newest message is shown in it.
 *
 * @module
 */

/** Older lines are dropped; the log of a first look has few. */
const linesMax = 200;

export class TerminalLog {
  readonly #out: NodeJS.WritableStream;
  readonly #lines: string[] = [];
  #dropped = 0;
  #waiting = false;

  constructor(out: NodeJS.WritableStream) {
    this.#out = out;
  }

  /** The newest message since the screen opened. */
  get newest(): string | undefined {
    const line = this.#lines.at(-1);
    if (line === undefined) return undefined;
    const { level, msg, code } = JSON.parse(line) as Record<string, unknown>;
    return [level, msg, code].filter((part) => typeof part === 'string').join(': ');
  }

  write(line: string): void {
    if (!this.#waiting) {
      this.#out.write(line);
      return;
    }
    this.#lines.push(line);
    if (this.#lines.length <= linesMax) return;
    this.#lines.shift();
    this.#dropped++;
  }

  /** The live screen opens: lines wait. */
  hold(): void {
    this.#waiting = true;
  }

  /** The live screen closed: what waited is written. Safe to call twice. */
  release(): void {
    this.#waiting = false;
    if (this.#dropped > 0) this.#out.write(`(${this.#dropped} earlier log lines not shown)\n`);
    for (const line of this.#lines.splice(0)) this.#out.write(line);
    this.#dropped = 0;
  }
}
