/**
 * The web console in a real browser: a whole fleet, the loopback proxy of `flotilla console`, and Chromium.
 *
 * @module
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import type { ExecutionContext, TestFn } from 'ava';
import axe from 'axe-core';
import { chromium, type Browser, type Page } from 'playwright-core';
import { startConsoleProxy } from '../../cli/lib/console-proxy.ts';
import { debianTool } from './debian-tool.ts';
import { fleetWorld, type FleetOptions, type FleetWorld } from './fleet-world.ts';

export interface ConsoleWorld {
  /** Shared by the tests of the file: each test uses ids of its own. */
  readonly fleet: FleetWorld;
  readonly browser: Browser;
  /** The address of the console, without a path. */
  readonly base: string;
  /** Signed in as the administrator, in a browser profile of the test. */
  readonly page: Page;
  /** Errors of scripts, refused loads and requests to other addresses. Empty unless something is wrong. */
  readonly faults: readonly string[];
}

interface Started {
  readonly fleet: FleetWorld;
  readonly browser: Browser;
}

/** A name that this browser resolves to this machine, as a rebound name of another site does. */
export const reboundHost = 'rebound.example';

const waitMs = 120_000;
const accessibilityTags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'];
/** The rules whose result depends on colors. */
const colorRules = ['color-contrast', 'link-in-text-block'];

/**
 * One Chromium and one fleet for all tests of a file, because starting them costs more than most tests. The
 * returned function gives a test a browser profile of its own, signed in by a one-time URL of its own. It
 * returns undefined where Chromium is not installed.
 *
 * @param prepare runs once, before the first test
 */
export function consoleOfFile(
  test: TestFn,
  options: FleetOptions = {},
  prepare: (fleet: FleetWorld, file: Pick<ExecutionContext, 'teardown'>) => unknown = () =>
    undefined,
): (t: ExecutionContext) => Promise<ConsoleWorld | undefined> {
  const cleanups: (() => unknown)[] = [];
  const file: Pick<ExecutionContext, 'teardown'> = {
    teardown: (cleanup) => void cleanups.unshift(cleanup),
  };
  const start = async (executablePath: string): Promise<Started> => {
    if (!existsSync('dist/console/app.js')) {
      execFileSync(process.execPath, ['tools/build-console.mjs']);
    }
    const [fleet, browser] = await Promise.all([
      fleetWorld(file, options),
      openBrowser(executablePath),
    ]);
    file.teardown(() => browser.close());
    await prepare(fleet, file);
    return { fleet, browser };
  };
  let started: Promise<Started> | undefined;
  test.after.always('the browser and the fleet of this file end', async () => {
    await started;
    for (const cleanup of cleanups) await cleanup();
  });
  return async (t) => {
    const executablePath = debianTool(t, 'chromium');
    if (executablePath === undefined) return undefined;
    started ??= start(executablePath);
    return openConsole(t, await started);
  };
}

/** Signs the administrator in, in a new profile of the browser. It is closed with the test. */
async function openConsole(
  t: ExecutionContext,
  { fleet, browser }: Started,
): Promise<ConsoleWorld> {
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
  const context = await browser.newContext({ viewport: { width: 1280, height: 850 } });
  t.teardown(async () => {
    await context.close();
    await proxy.close();
  });
  const base = new URL(proxy.url).origin;
  const page = await context.newPage();
  const faults = watchFaults(page, base);
  await page.goto(proxy.url);
  await page.getByRole('heading', { name: 'Overview' }).waitFor();
  return { fleet, browser, base, page, faults };
}

/** Chromium with generous deadlines. */
export async function openBrowser(executablePath: string): Promise<Browser> {
  return chromium.launch({
    executablePath,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      `--host-resolver-rules=MAP ${reboundHost} 127.0.0.1`,
    ],
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

/**
 * The accessibility rules (WCAG 2 A and AA) that the page breaks in both themes, with the elements. The theme is
 * set without its field, which is not available while a dialog is open.
 */
export async function accessibilityFaults(page: Page): Promise<string[]> {
  await setTheme(page, 'light');
  const light = await axeFaults(page, { type: 'tag', values: accessibilityTags });
  await setTheme(page, 'dark');
  return [...light, ...(await axeFaults(page, { type: 'rule', values: colorRules }))];
}

async function setTheme(page: Page, theme: 'dark' | 'light'): Promise<void> {
  await page.evaluate(`document.documentElement.dataset.theme = '${theme}'`);
}

/** The same for the dialog that is open, which makes the rest of the page inert. It is closed at the end. */
export async function dialogFaults(page: Page): Promise<string[]> {
  const dialog = page.getByRole('dialog');
  await dialog.waitFor();
  const faults = await accessibilityFaults(page);
  await dialog.getByRole('button', { name: /^(?:Cancel|Close|Done)$/ }).click();
  await dialog.waitFor({ state: 'detached' });
  return faults;
}

async function axeFaults(
  page: Page,
  runOnly: { readonly type: 'rule' | 'tag'; readonly values: readonly string[] },
): Promise<string[]> {
  // Not as a script element: the page allows none.
  if (!(await page.evaluate<boolean>("'axe' in window"))) await page.evaluate(axe.source);
  const options = JSON.stringify({ runOnly, resultTypes: ['violations'] });
  const violations = await page.evaluate<{ id: string; nodes: { html: string }[] }[]>(
    `axe.run(document, ${options}).then(({ violations }) => violations)`,
  );
  return violations.map(
    ({ id, nodes }) =>
      `${id}: ${nodes
        .slice(0, 3)
        .map(({ html }) => html)
        .join(' | ')}`,
  );
}

/**
 * Shows a screen of the console without loading the page again, as a click on a link does.
 *
 * @param path after `/console/`
 */
export async function showScreen(page: Page, path: string): Promise<void> {
  await page.evaluate(
    `history.pushState(null, '', ${JSON.stringify(`/console/${path}`)}); dispatchEvent(new PopStateEvent('popstate'))`,
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
