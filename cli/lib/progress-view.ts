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
const home = '\u001B[H';
const clearLineEnd = '\u001B[K';
const clearBelow = '\u001B[J';
const alternateScreen = '\u001B[?1049h';
const mainScreen = '\u001B[?1049l';

/** Chooses the view by the type of the stream. */
export function progressView(stream: NodeJS.WritableStream): ProgressView {
  if (!(stream instanceof WriteStream) || !stream.isTTY || process.env['CI'] !== undefined) {
    return {
      update: (progress) => stream.write(`${progressLine(progress)}\n`),
      close: () => undefined,
    };
  }
  const screen = new Screen();
  let open = false;
  const leave = (): void => {
    if (open) stream.write(`${showCursor}${mainScreen}`);
    open = false;
  };
  // Also when the process exits immediately.
  process.once('exit', leave);
  return {
    update(progress) {
      if (!open) stream.write(`${alternateScreen}${hideCursor}`);
      open = true;
      screen.update(progress);
      const lines = screen.render(stream.columns, stream.rows - 1).split('\n');
      stream.write(home + lines.map((line) => line + clearLineEnd).join('\n') + clearBelow);
    },
    close() {
      leave();
      process.off('exit', leave);
    },
  };
}
