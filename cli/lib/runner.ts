/**
 * Connects commander to the commands: passes each action its context and stores its exit code.
 *
 * @module
 */
import type { Command } from 'commander';
import type { CommandAction, CommonOptions, ProcessEnvironment } from './command-context.ts';
import { Output } from './output.ts';
import { withOptionName } from './refused-option.ts';

export class Runner {
  exitCode = 0;
  readonly #environment: ProcessEnvironment;

  constructor(environment: ProcessEnvironment) {
    this.#environment = environment;
  }

  /** For a command without arguments. */
  run<O extends CommonOptions>(
    action: CommandAction<O>,
  ): (options: O, command: Command) => Promise<void> {
    return (options, command) =>
      this.#call(options, command, (context) => action(options, context));
  }

  /** For a command with one argument, which is optional if the action allows undefined. */
  runWith<A extends string | undefined, O extends CommonOptions>(
    action: (argument: A, ...rest: Parameters<CommandAction<O>>) => Promise<number>,
  ): (argument: A, options: O, command: Command) => Promise<void> {
    return (argument, options, command) =>
      this.#call(options, command, (context) => action(argument, options, context));
  }

  /** For a command whose first argument is required and whose second may be left out. */
  runWithTwo<O extends CommonOptions>(
    action: (
      first: string,
      second: string | undefined,
      ...rest: Parameters<CommandAction<O>>
    ) => Promise<number>,
  ): (first: string, second: string | undefined, options: O, command: Command) => Promise<void> {
    return (first, second, options, command) =>
      this.#call(options, command, (context) => action(first, second, options, context));
  }

  /** For a command with a list of arguments. */
  runWithList<O extends CommonOptions>(
    action: (list: readonly string[], ...rest: Parameters<CommandAction<O>>) => Promise<number>,
  ): (list: readonly string[], options: O, command: Command) => Promise<void> {
    return (list, options, command) =>
      this.#call(options, command, (context) => action(list, options, context));
  }

  async #call(
    options: CommonOptions,
    command: Command,
    act: (context: { out: Output; environment: ProcessEnvironment }) => Promise<number>,
  ): Promise<void> {
    const out = new Output(options.json ?? false, this.#environment.streams, this.#environment.env);
    try {
      this.exitCode = await act({ out, environment: this.#environment });
    } catch (error) {
      throw withOptionName(error, command.options);
    }
  }
}
