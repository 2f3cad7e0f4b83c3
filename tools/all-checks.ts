/**
 * Runs every check of the project but the tests, as many at once as the machine has cores. The output of a check is
 * printed as one block when the check ends. The exit code is 1 if any check failed.
 *
 * @module
 */
import { execFile } from 'node:child_process';
import { availableParallelism } from 'node:os';

/** Scripts of package.json without their prefix. The longest comes first, so that it does not run alone at the end. */
const checks = ['lint', 'types', 'format', 'unused', 'imports', 'names', 'words'];
const checkMaxMs = 900_000;
const outputMaxBytes = 64 * 1024 * 1024;

const waiting = [...checks];
const failed: string[] = [];
await Promise.all(Array.from({ length: Math.max(1, availableParallelism()) }, runNext));
if (failed.length > 0) {
  process.stderr.write(`failed: ${failed.map((check) => `npm run check:${check}`).join(', ')}\n`);
  process.exitCode = 1;
}

async function runNext(): Promise<void> {
  for (let check = waiting.shift(); check !== undefined; check = waiting.shift()) {
    const { ok, output } = await run(check);
    process.stdout.write(`${ok ? 'ok' : 'FAILED'} check:${check}\n${output}`);
    if (!ok) failed.push(check);
  }
}

/** Runs one script of package.json and resolves with what it printed. It never rejects. */
function run(check: string): Promise<{ readonly ok: boolean; readonly output: string }> {
  const options = { timeout: checkMaxMs, maxBuffer: outputMaxBytes };
  return new Promise((resolve) => {
    execFile('npm', ['run', '--silent', `check:${check}`], options, (error, stdout, stderr) => {
      resolve({ ok: error === null, output: `${stdout}${stderr}` });
    });
  });
}
