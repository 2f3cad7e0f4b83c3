/**
 * The entry of the command line: one program, one file per command.
 *
 * @module
 */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { withoutControls } from '../core/escape.ts';
import { commandsFor, type BuildCommand } from './command-table.ts';
import { completionCommand } from './commands/completion.ts';
import type { ProcessEnvironment } from './lib/command-context.ts';
import { addExamples } from './lib/examples.ts';
import { localCommand } from './lib/local-command.ts';
import { printError } from './lib/output.ts';
import { processEnvironment } from './lib/process-environment.ts';
import { Runner } from './lib/runner.ts';

/**
 * Runs one command.
 *
 * @returns the exit code: 0 success, 1 failure, 2 wrong usage, 3 a missed threshold
 */
export async function main(
  args: readonly string[],
  environment: ProcessEnvironment = processEnvironment(args),
): Promise<number> {
  const runner = new Runner(environment);
  const program = build(await commandsFor(args), runner, environment);
  try {
    await program.parseAsync([...args], { from: 'user' });
    return runner.exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    return printError(error, args.includes('--json'), environment.streams, environment.env);
  }
}

function build(
  commands: readonly BuildCommand[],
  runner: Runner,
  environment: ProcessEnvironment,
): Command {
  const program = new Command('flotilla')
    .description('MQTT broker with mutual TLS, certificate enrollment and simulator for IoT fleets')
    .version(version())
    .showHelpAfterError('(see --help)');
  for (const command of commands) program.addCommand(command(runner));
  program.addCommand(completionCommand(runner));
  addExamples(program, localCommand(environment.env));
  const configure = (command: Command): void => {
    printPlainDefaults(command);
    command.exitOverride().configureOutput({
      writeOut: (text) => void environment.streams.stdout.write(withoutControls(text)),
      writeErr: (text) => void environment.streams.stderr.write(withoutControls(text)),
    });
    for (const sub of command.commands) configure(sub);
  };
  configure(program);
  return program;
}

/** Prints defaults in the help as `(default: x)`, without quotation marks, and no empty lists. */
function printPlainDefaults(command: Command): void {
  for (const item of [...command.options, ...command.registeredArguments]) {
    const value: unknown = item.defaultValue;
    if (typeof value === 'string') item.defaultValueDescription ??= value;
    if (Array.isArray(value) && value.length === 0) item.defaultValueDescription ??= 'none';
  }
}

function version(): string {
  // One level up in the sources, two in the built package.
  for (const path of ['../package.json', '../../package.json']) {
    try {
      const text = readFileSync(new URL(path, import.meta.url), 'utf8');
      return (JSON.parse(text) as { version: string }).version;
    } catch {
      continue;
    }
  }
  return 'unknown';
}
