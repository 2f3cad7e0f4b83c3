import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { escapeMarkup } from '../../device-sim/report/html-page.ts';
import { reportHtml } from '../../device-sim/report/report-html.ts';
import { debianTool } from '../support/debian-tool.ts';
import { inventedReport } from '../support/sim-report.ts';
import { tempFolder } from '../support/temp-folder.ts';

const hostile = '<img src=x onerror="document.title=`taken`">';

/** Opens a page with a script at its end, and returns the title that the script sets. */
async function titleAfter(
  t: ExecutionContext,
  chromium: string,
  html: string,
  script: string,
  width: number,
): Promise<string> {
  const folder = tempFolder(t);
  const page = join(folder, 'report.html');
  await writeFile(page, html.replace('</body>', `<script>${script}</script></body>`));
  const { stdout } = await promisify(execFile)(
    chromium,
    [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      `--window-size=${width},900`,
      `--user-data-dir=${join(folder, 'profile')}`,
      '--dump-dom',
      `file://${page}`,
    ],
    { timeout: 60_000, maxBuffer: 16 * 1024 * 1024 },
  );
  return /<title>([^<]*)<\/title>/.exec(stdout)?.[1] ?? '';
}

const report = inventedReport(
  { error: `connect: ${hostile}`, busyCores: 2 },
  { failure: hostile, notes: [hostile] },
);

test('a real browser renders the report, and hostile text in it stays text', async (t) => {
  const chromium = debianTool(t, 'chromium');
  if (chromium === undefined) return;
  // Moves the pointer over a plot and writes the result into the title.
  const script = `
    const frame=document.querySelector('.frame'),area=frame.querySelector('.area'),box=area.getBoundingClientRect();
    area.dispatchEvent(new PointerEvent('pointermove',{clientX:box.left+box.width/2,clientY:box.top+20}));
    document.title=['plots',document.querySelectorAll('.frame').length,'img',document.querySelectorAll('img').length,
      'cursors',document.querySelectorAll('.pointed').length,'tip',document.getElementById('tip').textContent].join(' ');`;
  const title = await titleAfter(t, chromium, reportHtml(report), script, 1200);
  t.regex(title, /^plots 8 img 0 cursors 6 tip 15\.0 sp50: /);
});

test('on a phone the text of plots keeps its size, and nothing is wider than the screen', async (t) => {
  const chromium = debianTool(t, 'chromium');
  if (chromium === undefined) return;
  // A frame of 390 px: headless windows have a minimum width.
  const inner = escapeMarkup(reportHtml(report));
  const html = `<!doctype html><html><head><title></title></head><body><iframe width="390" height="800" srcdoc="${inner}"></iframe></body></html>`;
  const script = `
    document.querySelector('iframe').addEventListener('load',(event)=>{
      const page=event.target.contentDocument,sizes=[...page.querySelectorAll('.y span,.x span,.limit-mark,.lane>span')].map((one)=>parseFloat(event.target.contentWindow.getComputedStyle(one).fontSize));
      document.title=['overflow',page.documentElement.scrollWidth-page.documentElement.clientWidth,'least',Math.min(...sizes),'texts',sizes.length>50].join(' ');
    });`;
  t.is(await titleAfter(t, chromium, html, script, 800), 'overflow 0 least 11 texts true');
});
