/** `flotilla completion SHELL`: the script that completes commands and options. @module */
import { Argument, Command } from 'commander';
import { commandTree } from '../lib/command-tree.ts';
import { completionScript, shells, type Shell } from '../lib/completion-script.ts';
import type { CommonOptions, Context } from '../lib/command-context.ts';
import type { Runner } from '../lib/runner.ts';

export function completionCommand(runner: Runner): Command {
  const command = new Command('completion').description(
    'print the script that completes commands and options in a shell',
  );
  const print = (shell: Shell, _options: CommonOptions, { out }: Context): Promise<number> => {
    const script = completionScript(shell, commandTree(command.parent ?? command));
    out.result({ shell, script }, script.trimEnd());
    return Promise.resolve(0);
  };
  return command
    .addArgument(new Argument('<shell>', 'the shell').choices(shells))
    .option('--json', 'one JSON document on stdout')
    .action(runner.runWith(print));
}
