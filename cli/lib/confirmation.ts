/**
 * The question before a command that cannot be undone.
 *
 * @module
 */
import { createInterface } from 'node:readline/promises';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { Context } from './command-context.ts';

export interface ConfirmationOptions {
  /** Skips the question. */
  readonly yes?: boolean;
}

/**
 * Asks on a terminal. Without a terminal, `--yes` is necessary.
 *
 * @param question what happens, as a question
 * @returns whether to go ahead
 * @throws FlotillaError `confirmation-missing` without a terminal and without `--yes`
 */
export async function confirmed(
  question: string,
  { yes = false }: ConfirmationOptions,
  { environment }: Context,
): Promise<boolean> {
  if (yes) return true;
  const { stdin } = process;
  const { stderr } = environment.streams;
  if (!stdin.isTTY || !('isTTY' in stderr) || stderr.isTTY !== true) {
    throw new FlotillaError('confirmation-missing', { detail: question });
  }
  const terminal = createInterface({ input: stdin, output: stderr });
  try {
    return /^y(?:es)?$/i.test((await terminal.question(`${question} [y/N] `)).trim());
  } finally {
    terminal.close();
  }
}
