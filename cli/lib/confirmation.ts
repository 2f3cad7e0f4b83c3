/**
 * The question before a command that takes something away, and its dry run. All destructive commands use it:
 * on a terminal they ask, `--yes` answers, `--dry-run` shows what would happen. Without a terminal, a command with one
 * target goes ahead, because scripts rely on it, and one with many targets needs `--yes`.
 *
 * @module
 */
import { createInterface } from 'node:readline/promises';
import type { Command } from 'commander';
import { amountText } from '../../core/amount-text.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { Context } from './command-context.ts';

export interface ConfirmationOptions {
  /** Skips the question. */
  readonly yes?: boolean;
  /** Shows what would happen, and changes nothing. */
  readonly dryRun?: boolean;
}

/** What a command is about to do. */
export interface PlannedChange {
  /** `revoke`: for programs. */
  readonly action: string;
  /** `revoke pump-7`: what happens, without a period. */
  readonly summary: string;
  /** How many things change. */
  readonly count: number;
  /** The things, or the first ones. */
  readonly targets: readonly string[];
  /** What follows from it, one sentence each. */
  readonly effects?: readonly string[];
}

/** Adds `--dry-run` and `--yes`. */
export function destructive(command: Command): Command {
  return command
    .option('--dry-run', 'show what would happen, and change nothing')
    .option('--yes', 'do not ask for confirmation');
}

/**
 * Shows the change (`--dry-run`) or asks about it.
 *
 * @returns whether to go ahead; otherwise the exit code of the command
 * @throws FlotillaError `confirmation-missing` for many targets without a terminal and without `--yes`
 */
export async function confirmed(
  change: PlannedChange,
  options: ConfirmationOptions,
  context: Context,
): Promise<true | number> {
  const { action, summary, count, targets, effects = [] } = change;
  const { out } = context;
  if (options.dryRun === true) {
    const lines = [`would ${summary}`, ...effects.map((effect) => `  ${effect}`)];
    out.result(
      { dryRun: true, action, matched: count, sample: targets, effects },
      [...lines, 'nothing was changed'].join('\n'),
    );
    return 0;
  }
  if (options.yes === true) return true;
  const question = [`${capital(summary)}?`, ...effects].join('\n  ');
  const answer = await ask(question, context);
  if (answer === undefined) {
    if (count <= 1) return true;
    throw new FlotillaError('confirmation-missing', {
      detail: `${summary} (${amountText(count, 'target')})`,
    });
  }
  if (answer) return true;
  out.warn('nothing was changed');
  return 1;
}

/** @returns undefined without a terminal */
async function ask(question: string, { environment }: Context): Promise<boolean | undefined> {
  const { stdin } = process;
  const { stderr } = environment.streams;
  if (!stdin.isTTY || !('isTTY' in stderr) || stderr.isTTY !== true) return undefined;
  const terminal = createInterface({ input: stdin, output: stderr });
  try {
    return /^y(?:es)?$/i.test((await terminal.question(`${question} [y/N] `)).trim());
  } finally {
    terminal.close();
  }
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
