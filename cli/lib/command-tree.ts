/**
 * The commands and their options as data, for shell completion.
 *
 * @module
 */
import type { Command, Option } from 'commander';

export interface CommandNode {
  /** The words after the program's name; empty for the program. */
  readonly path: readonly string[];
  readonly subcommands: readonly { readonly name: string; readonly description: string }[];
  readonly options: readonly OptionNode[];
  /** Whether an argument that is not an option is a file. */
  readonly takesFile: boolean;
}

export interface OptionNode {
  /** `--name`. */
  readonly flag: string;
  readonly description: string;
  readonly takesValue: boolean;
  /** The values it may have; empty when anything is allowed. */
  readonly choices: readonly string[];
  /** Whether its value is a file or folder. */
  readonly isPath: boolean;
}

/** The program and every command below it, parents first. */
export function commandTree(command: Command, path: readonly string[] = []): CommandNode[] {
  const help = command.createHelp();
  const subcommands = help.visibleCommands(command);
  return [
    {
      path,
      subcommands: subcommands.map((sub) => ({
        name: sub.name(),
        description: firstLine(sub.description()),
      })),
      options: help.visibleOptions(command).flatMap(optionNode),
      takesFile: command.registeredArguments.some(({ description }) =>
        /\b(?:file|report)\b/.test(description),
      ),
    },
    ...command.commands.flatMap((sub) => commandTree(sub, [...path, sub.name()])),
  ];
}

function optionNode(option: Option): OptionNode[] {
  if (typeof option.long !== 'string') return [];
  const value = /[<[]([^<[>\]]+)[>\]]/.exec(option.flags)?.[1];
  return [
    {
      flag: option.long,
      description: firstLine(option.description),
      takesValue: value !== undefined,
      choices: option.argChoices ?? [],
      isPath: value !== undefined && /^(?:dir|file)/.test(value),
    },
  ];
}

function firstLine(text: string): string {
  return text.split('\n')[0] ?? '';
}
