/**
 * Shows the progress of a run: a live screen in a terminal, plain lines otherwise.
 *
 * @module
 */
import { WriteStream } from 'node:tty';
import { progressLine, type Progress } from '../../device-sim/view/progress.ts';
import { Screen } from '../../device-sim/view/screen.ts';
import { printedText, styleOf } from './style.ts';
import { TerminalKeys } from './terminal-keys.ts';

export interface ProgressView {
  update(progress: Progress): void;
  /** Restores the terminal. Can be called twice. */
  close(): void;
}

const hideCursor = '\u001B[?25l';
const showCursor = '\u001B[?25h';
const clearScreen = '\u001B[2J';
const clearLineEnd = '\u001B[K';
const alternateScreen = '\u001B[?1049h';
const mainScreen = '\u001B[?1049l';
/** Below this the screen needs all lines for itself. */
const screenRowsMin = 10;

/** Whether a stream shows the live screen rather than lines. */
export function hasLiveScreen(stream: NodeJS.WritableStream): stream is WriteStream {
  return stream instanceof WriteStream && stream.isTTY && process.env['CI'] === undefined;
}

/**
 * Chooses by what the stream is.
 *
 * @param env decides about color: see {@link styleOf}
 * @param footer asked at each update; lines that stay below the live screen, if they fit
 */
export function progressView(
  stream: NodeJS.WritableStream,
  env: Readonly<Record<string, string | undefined>>,
  footer: () => readonly string[] = () => [],
): ProgressView {
  if (!hasLiveScreen(stream)) {
    return {
      update: (progress) => stream.write(`${progressLine(progress)}\n`),
      close: () => undefined,
    };
  }
  const style = styleOf(stream, env);
  let open = false;
  let shown: readonly string[] = [];
  let size = '';
  const leave = (): void => {
    if (open) stream.write(`${showCursor}${mainScreen}`);
    open = false;
  };
  // Also when the process exits immediately.
  process.once('exit', leave);
  const keys = new TerminalKeys(process.stdin, {
    // The same as Ctrl-C, for this command alone.
    quit: () => void process.kill(process.pid, 'SIGINT'),
    suspended: leave,
  });
  const screen = new Screen({
    paint: (color, text) => style.color(color, text),
    ending: () => (keys.isWatching ? 'q or Ctrl-C ends it' : 'Ctrl-C ends it'),
  });
  return {
    update(progress) {
      keys.watch();
      const sizeNow = `${stream.columns}x${stream.rows}`;
      if (!open) stream.write(`${alternateScreen}${hideCursor}`);
      if (!open || sizeNow !== size) {
        stream.write(clearScreen);
        shown = [];
      }
      [open, size] = [true, sizeNow];
      screen.update(progress);
      const lines = layOut(screen, footer(), stream.columns, stream.rows).map(printedText);
      // Only what changed is written, so that a selection in the rest of the screen stays.
      const changed = lines.flatMap((line, row) =>
        line === shown[row] ? [] : [`\u001B[${row + 1};1H${line}${clearLineEnd}`],
      );
      const rest = shown
        .slice(lines.length)
        .map((_, at) => `\u001B[${lines.length + at + 1};1H${clearLineEnd}`);
      stream.write([...changed, ...rest].join(''));
      shown = lines;
    },
    close() {
      keys.close();
      leave();
      process.off('exit', leave);
    },
  };
}

/** The screen, an empty line, and the footer at the bottom; the screen alone where both do not fit. */
export function layOut(
  screen: Pick<Screen, 'render'>,
  footer: readonly string[],
  columnsKnown: number,
  rowsKnown: number,
): readonly string[] {
  // A serial line, or a terminal inside a container, may report 0.
  const columns = columnsKnown > 0 ? columnsKnown : 80;
  const rows = rowsKnown > 0 ? rowsKnown : 24;
  const below = footer.flatMap((line) => wrap(line, columns));
  const above = rows - below.length;
  if (below.length === 0 || above < screenRowsMin) {
    return screen.render(columns, rows - 1).split('\n');
  }
  const lines = screen.render(columns, above - 1).split('\n');
  return [...lines, ...Array.from({ length: above - lines.length }, () => ''), ...below];
}

/** A terminal that wraps a full line joins its parts again when a person copies it. */
function wrap(line: string, columns: number): string[] {
  const parts: string[] = [];
  for (let at = 0; at < line.length; at += columns) parts.push(line.slice(at, at + columns));
  return parts;
}
