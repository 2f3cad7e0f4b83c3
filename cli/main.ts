/**
 * The command line's entry: one program, one file a command.
 *
 * @module
 */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { commandsFor, type BuildCommand } from './command-table.ts';
import type { ProcessEnvironment } from './lib/command-context.ts';
import { printError } from './lib/output.ts';
import { processEnvironment } from './lib/process-environment.ts';
import { Runner } from './lib/runner.ts';

/** Runs one command; gives the exit code: 0 done, 1 failed, 2 wrong usage, 3 a missed threshold. */
export async function main(
  args: readonly string[],
  environment: ProcessEnvironment = processEnvironment(),
): Promise<number> {
  const runner = new Runner(environment);
  const program = build(await commandsFor(args), runner, environment);
  try {
    await program.parseAsync([...args], { from: 'user' });
    return runner.exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    return printError(error, args.includes('--json'), environment.streams);
  }
}

function build(
  commands: readonly BuildCommand[],
  runner: Runner,
  environment: ProcessEnvironment,
): Command {
  const program = new Command('flotilla')
    .description(
      'The front door of an IoT fleet: mTLS MQTT broker, certificate enrollment, simulator.',
    )
    .version(version())
    .showHelpAfterError('(see --help)');
  for (const command of commands) program.addCommand(command(runner));
  const settle = (command: Command): void => {
    command.exitOverride().configureOutput({
      writeOut: (text) => void environment.streams.stdout.write(text),
      writeErr: (text) => void environment.streams.stderr.write(text),
    });
    for (const sub of command.commands) settle(sub);
  };
  settle(program);
  return program;
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
