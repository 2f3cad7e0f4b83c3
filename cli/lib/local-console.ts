/** The web console beside `flotilla up`. @module */
import { readFile } from 'node:fs/promises';
import type { Lifecycle } from '../../core/lifecycle.ts';
import { identityFiles, type StateFolder } from '../../core/state-folder.ts';
import { startConsoleProxy } from './console-proxy.ts';

/** `flotilla console` prints another URL when this one is used or has expired. */
const linkTtlMs = 3_600_000;

/**
 * Starts the proxy of the console with the administrator's certificate; the lifecycle closes it.
 *
 * @returns the one-time URL
 */
export async function startLocalConsole(
  state: StateFolder,
  url: string,
  lifecycle: Lifecycle,
): Promise<string> {
  const files = identityFiles(state.admin);
  const [cert, key, ca] = await Promise.all([
    readFile(files.chain, 'utf8'),
    readFile(files.key, 'utf8'),
    readFile(files.ca, 'utf8'),
  ]);
  const proxy = await startConsoleProxy({
    url,
    ca,
    cert,
    key,
    port: 0,
    linkTtlMs,
    now: () => Date.now(),
  });
  lifecycle.add('web console', () => proxy.close());
  return proxy.url;
}
