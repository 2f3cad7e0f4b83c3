/** The program that a device runs after a renewal, for example to reload what uses the certificate. @module */
import { execFile } from 'node:child_process';
import { FlotillaError, messageOf } from '../../core/errors/flotilla-error.ts';
import { clearHookDue } from './hook-record.ts';

const hookTimeoutMs = 60_000;

export interface HookFacts {
  readonly device: string;
  /** The identity folder. */
  readonly dir: string;
  /** ISO 8601. */
  readonly notAfter: string;
}

/**
 * Runs the program without a shell. Its only argument is the identity folder; the environment additionally has
 * FLOTILLA_DEVICE, FLOTILLA_DIR and FLOTILLA_NOT_AFTER. It is ended after a minute. When it has succeeded, that is
 * recorded in the folder.
 *
 * @throws FlotillaError `renewal-hook-failed` when it cannot start, fails or takes too long
 */
export async function runHook(
  program: string,
  { device, dir, notAfter }: HookFacts,
  env: Readonly<Record<string, string | undefined>>,
): Promise<void> {
  const more = { FLOTILLA_DEVICE: device, FLOTILLA_DIR: dir, FLOTILLA_NOT_AFTER: notAfter };
  await new Promise<void>((resolve, reject) => {
    const options = { env: { ...env, ...more }, timeout: hookTimeoutMs, maxBuffer: 1024 * 1024 };
    execFile(program, [dir], options, (error, _stdout, stderr) => {
      if (error === null) {
        resolve();
        return;
      }
      const reason = stderr.trim().split('\n').at(-1)?.slice(0, 200) ?? '';
      const detail = `${program}: ${reason === '' ? messageOf(error) : reason}`;
      reject(new FlotillaError('renewal-hook-failed', { detail, cause: error }));
    });
  });
  await clearHookDue(dir);
}
