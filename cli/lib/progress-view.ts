/**
 * Shows the progress of a run: a live screen in a terminal, plain lines otherwise.
 *
 * @module
 */
import { WriteStream } from 'node:tty';
import { progressLine, type Progress } from '../../device-sim/view/progress.ts';
import { Screen } from '../../device-sim/view/screen.ts';

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
 * @param footer asked at each update; lines that stay below the live screen, if they fit
 */
export function progressView(
  stream: NodeJS.WritableStream,
  footer: () => readonly string[] = () => [],
): ProgressView {
  if (!hasLiveScreen(stream)) {
    return {
      update: (progress) => stream.write(`${progressLine(progress)}\n`),
      close: () => undefined,
    };
  }
  const screen = new Screen();
  let open = false;
  let shown: readonly string[] = [];
  let size = '';
  const leave = (): void => {
    if (open) stream.write(`${showCursor}${mainScreen}`);
    open = false;
  };
  // Also when the process exits immediately.
  process.once('exit', leave);
  return {
    update(progress) {
      const sizeNow = `${stream.columns}x${stream.rows}`;
      if (!open) stream.write(`${alternateScreen}${hideCursor}`);
      if (!open || sizeNow !== size) {
        stream.write(clearScreen);
        shown = [];
      }
      [open, size] = [true, sizeNow];
      screen.update(progress);
      const lines = layOut(screen, footer(), stream.columns, stream.rows);
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
      leave();
      process.off('exit', leave);
    },
  };
}

/** The screen, an empty line, and the footer at the bottom; the screen alone where both do not fit. */
export function layOut(
  screen: Pick<Screen, 'render'>,
  footer: readonly string[],
  columns: number,
  rows: number,
): readonly string[] {
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
