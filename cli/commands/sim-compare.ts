/** `flotilla sim compare`: two reports side by side. @module */
import { dirname } from 'node:path';
import { mkdir } from 'node:fs/promises';
import { writeFileAtomic } from '../../core/atomic-file.ts';
import { compareHtml } from '../../device-sim/report/compare-html.ts';
import { comparisonOf, comparisonText, readReport } from '../../device-sim/report/compare.ts';
import type { CommonOptions, Context } from '../lib/command-context.ts';

export interface CompareOptions extends CommonOptions {
  readonly html?: string;
}

const openMode = 0o644;

/** @throws FlotillaError `sim-report-unreadable`, `file-write-failed` */
export const compare = async (
  pathA: string,
  pathB: string,
  { html }: CompareOptions,
  { out }: Context,
): Promise<number> => {
  const [a, b] = await Promise.all([readReport(pathA), readReport(pathB)]);
  const comparison = comparisonOf(a, b);
  if (html !== undefined) {
    await mkdir(dirname(html), { recursive: true });
    await writeFileAtomic(html, compareHtml(comparison, a, b), openMode);
    out.warn(`comparison: ${html}`);
  }
  out.result(comparison, comparisonText(comparison).trimEnd());
  return 0;
};
