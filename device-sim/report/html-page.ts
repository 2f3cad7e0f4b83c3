/**
 * The frame of an HTML report: one file that loads nothing from elsewhere, so that it can be mailed,
 * printed and opened offline.
 *
 * @module
 */
import { pageScript } from './html-script.ts';
import { pageStyle } from './html-style.ts';

/** Renders a page. @param title and @param body title as text, body as HTML */
export function htmlPage(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>${escapeMarkup(title)}</title>
<style>${pageStyle}</style>
</head>
<body>
${body}
<div id="tip" role="status"></div>
<script>${pageScript}</script>
</body>
</html>
`;
}

/** Makes text safe inside HTML and XML, attributes included. */
export function escapeMarkup(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');
}

/** A section with a heading; empty when it has no content. */
export function htmlSection(title: string, ...content: readonly string[]): string {
  const inner = content.filter((part) => part !== '').join('\n');
  return inner === '' ? '' : `<section><h2>${escapeMarkup(title)}</h2>\n${inner}</section>`;
}

/** A table that scrolls sideways on narrow screens, also by keyboard. Cells are HTML. */
export function htmlTable(
  label: string,
  head: readonly string[],
  rows: readonly (readonly string[])[],
  numericFrom: number,
): string {
  const kind = (index: number): string => (index >= numericFrom ? ' class="number"' : '');
  const headCells = head.map(
    (cell, index) => `<th scope="col"${kind(index)}>${escapeMarkup(cell)}</th>`,
  );
  const body = rows.map(
    (cells) => `<tr>${cells.map((cell, index) => `<td${kind(index)}>${cell}</td>`).join('')}</tr>`,
  );
  return `<div class="scroll" tabindex="0" role="region" aria-label="${escapeMarkup(label)}"><table><thead><tr>${headCells.join('')}</tr></thead><tbody>${body.join('')}</tbody></table></div>`;
}

/** A colored badge. */
export function mark(kind: 'passed' | 'failed' | 'neutral', text: string): string {
  return `<span class="mark ${kind}">${escapeMarkup(text)}</span>`;
}
