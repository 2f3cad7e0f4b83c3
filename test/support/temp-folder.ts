/**
 * Temporary folders for tests.
 *
 * @module
 */
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';

/** Creates an empty folder with mode 0700 that is deleted when the test ends. Returns its path. */
export function tempFolder(t: Pick<ExecutionContext, 'teardown'>): string {
  const path = mkdtempSync(join(tmpdir(), 'flotilla-test-'));
  t.teardown(() => rm(path, { recursive: true, force: true, maxRetries: 3 }));
  return path;
}
