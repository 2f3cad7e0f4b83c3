/**
 * The log on a terminal: lines for a person, where a file or another program gets JSON. While the live screen is
 * open, lines written to the terminal would destroy it, so they wait until it closes, and the newest message is shown
 * in it.
 *
 * @module
 */
import { hasLiveScreen } from './progress-view.ts';
import { printedText, styleOf, type Color, type Style } from './style.ts';

/** Older lines are dropped; the log of a first look has few. */
const linesMax = 200;

export class TerminalLog {
  /** Whether the output is a terminal, so that the log belongs here. */
  readonly isShown: boolean;
  readonly #out: NodeJS.WritableStream;
  readonly #style: Style;
  readonly #lines: string[] = [];
  #dropped = 0;
  #waiting = false;

  constructor(out: NodeJS.WritableStream, env: Readonly<Record<string, string | undefined>> = {}) {
    this.#out = out;
    this.#style = styleOf(out, env);
    this.isShown = hasLiveScreen(out);
  }

  /** The newest message since the screen opened. */
  get newest(): string | undefined {
    const line = this.#lines.at(-1);
    if (line === undefined) return undefined;
    const { level, msg, code } = JSON.parse(line) as Record<string, unknown>;
    return [level, msg, code].filter((part) => typeof part === 'string').join(': ');
  }

  /** One line of the log, as JSON. */
  write(line: string): void {
    if (!this.#waiting) {
      this.#print(line);
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
    for (const line of this.#lines.splice(0)) this.#print(line);
    this.#dropped = 0;
  }

  #print(line: string): void {
    this.#out.write(`${printedText(readableLine(line, this.#style))}\n`);
  }
}

const levelColors: Readonly<Record<string, Color>> = {
  warn: 'yellow',
  error: 'red',
  fatal: 'red',
};

/** `14:31:07 warn   broker: connection refused  code=identity-revoked device=pump-7`; the time is UTC. */
function readableLine(line: string, style: Style): string {
  const { level, time, service, msg, err, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const name = textOf(level);
  const color = levelColors[name] ?? 'dim';
  const parts = Object.entries(fields).map(([field, value]) => `${field}=${textOf(value)}`);
  return [
    style.color('dim', textOf(time).slice(11, 19)),
    style.color(color, name.padEnd(5)),
    `${service === undefined ? '' : `${textOf(service)}: `}${textOf(msg)}`,
    ...(parts.length === 0 ? [] : [style.color('dim', parts.join(' '))]),
    ...(err === undefined ? [] : [errorText(err)]),
  ].join(' ');
}

/** The message of an error, and its stack when no code of the catalogue explains it. */
function errorText(err: unknown): string {
  if (typeof err !== 'object' || err === null) return textOf(err);
  const { message, code, stack } = err as Record<string, unknown>;
  if (code !== undefined) return `${textOf(message)} [${textOf(code)}]`;
  const lines = textOf(stack ?? message).split('\n');
  return lines.map((line) => line.trim()).join(' ');
}

function textOf(value: unknown): string {
  if (value === undefined) return '';
  return typeof value === 'string' ? value : JSON.stringify(value);
}
