/**
 * A folder of a test's own.
 *
 * @module
 */
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';

/** Makes an empty folder, mode 0700, that is deleted when the test ends. Gives its path. */
export function tempFolder(t: Pick<ExecutionContext, 'teardown'>): string {
  const path = mkdtempSync(join(tmpdir(), 'flotilla-test-'));
  t.teardown(() => rm(path, { recursive: true, force: true, maxRetries: 3 }));
  return path;
}
