/**
 * The web console in a real browser: a whole fleet, the loopback proxy of `flotilla console`, and Chromium.
 *
 * @module
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import type { ExecutionContext } from 'ava';
import axe from 'axe-core';
import { chromium, type Browser, type Page } from 'playwright-core';
import { startConsoleProxy } from '../../cli/lib/console-proxy.ts';
import { debianTool } from './debian-tool.ts';
import { fleetWorld, type FleetOptions, type FleetWorld } from './fleet-world.ts';

export interface ConsoleWorld {
  readonly fleet: FleetWorld;
  readonly browser: Browser;
  /** The address of the console, without a path. */
  readonly base: string;
  /** Signed in as the administrator. */
  readonly page: Page;
  /** Errors of scripts, refused loads and requests to other addresses. Empty unless something is wrong. */
  readonly faults: readonly string[];
}

const waitMs = 120_000;
const accessibilityTags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'];

/** Starts all of it; undefined where Chromium is not installed. The test ends it. */
export async function consoleWorld(
  t: ExecutionContext,
  options: FleetOptions = {},
): Promise<ConsoleWorld | undefined> {
  const executablePath = debianTool(t, 'chromium');
  if (executablePath === undefined) return undefined;
  if (!existsSync('dist/console/app.js')) {
    execFileSync(process.execPath, ['tools/build-console.mjs']);
  }
  const fleet = await fleetWorld(t, options);
  const { url, ca, admin } = fleet.enroll;
  const proxy = await startConsoleProxy({
    url,
    ca,
    cert: admin.cert,
    key: admin.key,
    port: 0,
    linkTtlMs: 3_600_000,
    now: () => Date.now(),
  });
  const browser = await openBrowser(executablePath);
  t.teardown(async () => {
    await browser.close();
    await proxy.close();
  });
  const base = new URL(proxy.url).origin;
  const page = await browser.newPage({ viewport: { width: 1280, height: 850 } });
  const faults = watchFaults(page, base);
  await page.goto(proxy.url);
  await page.getByRole('heading', { name: 'Overview' }).waitFor();
  return { fleet, browser, base, page, faults };
}

/** Chromium with generous deadlines. */
export async function openBrowser(executablePath: string): Promise<Browser> {
  return chromium.launch({
    executablePath,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic'],
    timeout: waitMs,
  });
}

/** Sets the deadline of the page, and collects what must not happen in it. */
export function watchFaults(page: Page, base: string): string[] {
  page.setDefaultTimeout(waitMs);
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(`error: ${error.message}`));
  page.on('console', (message) => {
    if (/Content Security Policy/.test(message.text())) faults.push(message.text());
  });
  page.on('request', (request) => {
    const address = request.url();
    if (!address.startsWith(`${base}/`) && !address.startsWith('data:')) faults.push(address);
  });
  return faults;
}

/** The accessibility rules (WCAG 2 A and AA) that the page breaks, with the elements. */
export async function accessibilityFaults(page: Page): Promise<string[]> {
  // Not as a script element: the page allows none.
  await page.evaluate(axe.source);
  const violations = await page.evaluate<{ id: string; nodes: { html: string }[] }[]>(
    `axe.run(document, { runOnly: { type: 'tag', values: ${JSON.stringify(accessibilityTags)} } }).then(({ violations }) => violations)`,
  );
  return violations.map(
    ({ id, nodes }) =>
      `${id}: ${nodes
        .slice(0, 3)
        .map(({ html }) => html)
        .join(' | ')}`,
  );
}

/** Chooses a theme as a person does. */
export async function chooseTheme(page: Page, theme: 'dark' | 'light'): Promise<void> {
  await page.getByLabel('Theme').selectOption(theme);
}

/**
 * Replaces the text of an editor, as pasting does. (Playwright's `fill` makes the browser add style attributes,
 * which the page's CSP refuses.)
 */
export async function pasteInto(page: Page, label: string, text: string): Promise<void> {
  const editor = page.locator('.cm-content').and(page.getByLabel(label));
  await editor.press('Control+A');
  await page.evaluate(`(() => {
    const { activeElement } = document.activeElement.shadowRoot;
    const clipboardData = new DataTransfer();
    clipboardData.setData('text/plain', ${JSON.stringify(text)});
    activeElement.dispatchEvent(new ClipboardEvent('paste', { clipboardData, bubbles: true, cancelable: true }));
  })()`);
}
