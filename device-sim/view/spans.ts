/** Lines of the live screen: texts, some of them with a color, that are cut to a width before they are painted. @module */

export type ScreenColor = 'red' | 'green' | 'yellow' | 'cyan' | 'dim' | 'bold';

/** A text, and its color if it has one. */
export type Span = string | readonly [color: ScreenColor, text: string];

/** Returns a text in a color. */
export type Paint = (color: ScreenColor, text: string) => string;

/** The text of a line, of at most `columns` characters without its colors. */
export function paintedLine(spans: readonly Span[], columns: number, paint: Paint): string {
  let left = columns;
  let line = '';
  for (const span of spans) {
    const [color, text] = typeof span === 'string' ? [undefined, span] : span;
    const shown = text.slice(0, left);
    left -= shown.length;
    line += color === undefined || shown === '' ? shown : paint(color, shown);
  }
  return line;
}
