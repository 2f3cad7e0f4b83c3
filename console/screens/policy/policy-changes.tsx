/** The lines that a change of the policy adds and removes. @module */
import type { JSX } from 'preact';

export interface PolicyChangesProps {
  readonly before: string;
  readonly after: string;
}

const shownLinesMax = 40;

export function PolicyChanges({ before, after }: PolicyChangesProps): JSX.Element | null {
  const lines = [
    ...linesOnlyIn(before, after).map((line) => `- ${line}`),
    ...linesOnlyIn(after, before).map((line) => `+ ${line}`),
  ];
  if (lines.length === 0) return null;
  return (
    <>
      <p>Lines that are removed (-) and added (+):</p>
      <pre class="version" tabIndex={0} aria-label="Changed lines">
        {lines.slice(0, shownLinesMax).join('\n')}
        {lines.length > shownLinesMax ? `\nand ${lines.length - shownLinesMax} more` : ''}
      </pre>
    </>
  );
}

/** Empty lines say nothing about a change. */
function linesOnlyIn(text: string, other: string): string[] {
  const others = new Set(other.split('\n'));
  return text.split('\n').filter((line) => line.trim() !== '' && !others.has(line));
}
