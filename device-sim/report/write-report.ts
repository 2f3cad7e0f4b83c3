/**
 * Writes a report in all formats into one folder.
 *
 * @module
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomic } from '../../core/atomic-file.ts';
import { reportHtml } from './report-html.ts';
import { reportJunit } from './report-junit.ts';
import type { Report } from './report-model.ts';
import { reportText } from './report-text.ts';

const openMode = 0o644;

/**
 * Writes `report.json`, `report.txt`, `report.html` and `junit.xml`.
 *
 * @returns the paths
 * @throws FlotillaError `file-write-failed`
 */
export async function writeReport(folder: string, report: Report): Promise<string[]> {
  await mkdir(folder, { recursive: true });
  const files: [string, string][] = [
    ['report.json', `${JSON.stringify(report, null, 2)}\n`],
    ['report.txt', reportText(report)],
    ['report.html', reportHtml(report)],
    ['junit.xml', reportJunit(report)],
  ];
  const paths: string[] = [];
  for (const [name, content] of files) {
    const path = join(folder, name);
    await writeFileAtomic(path, content, openMode);
    paths.push(path);
  }
  return paths;
}
