/**
 * Where a command takes the enrollment token from, so that it need not stand in the shell's history.
 *
 * @module
 */
import { text } from 'node:stream/consumers';

/** `--token T`, `--token -` (stdin), or `FLOTILLA_TOKEN`; undefined when none is given. */
export async function readToken(
  option: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): Promise<string | undefined> {
  if (option === '-') return (await text(process.stdin)).trim();
  return option ?? env['FLOTILLA_TOKEN'];
}
