/**
 * Reads a secret from the terminal, without showing it.
 *
 * @module
 */
import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import type { ProcessEnvironment } from './command-context.ts';

/** @returns undefined without a terminal */
export async function askSecret(
  question: string,
  { streams }: ProcessEnvironment,
): Promise<string | undefined> {
  const { stdin } = process;
  const { stderr } = streams;
  if (!stdin.isTTY || !('isTTY' in stderr) || stderr.isTTY !== true) return undefined;
  // The terminal does not echo while readline reads keys; what readline would print is dropped.
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const terminal = createInterface({ input: stdin, output: silent, terminal: true });
  try {
    stderr.write(question);
    return await terminal.question('');
  } finally {
    terminal.close();
    stderr.write('\n');
  }
}
