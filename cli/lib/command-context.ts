/**
 * The context of every command, and options that many commands share.
 *
 * @module
 */
import { Command, InvalidArgumentError, Option } from 'commander';
import { loadConfig, type Config, type ConfigInput } from '../../core/config/config.ts';
import { isDeviceId, type DeviceId } from '../../core/device-id.ts';
import { parseDuration } from '../../core/config/duration.ts';
import { messageOf } from '../../core/errors/flotilla-error.ts';
import { defaultStateFolder, stateFolder, type StateFolder } from '../../core/state-folder.ts';
import type { Output } from './output.ts';
import { type Streams } from './output.ts';

/** The process around a command, passed in so that a command can run inside a test. */
export interface ProcessEnvironment {
  readonly streams: Streams;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Resolves with the reason when the process should stop: SIGINT, SIGTERM, or a closed terminal. */
  stopAsked(): Promise<string>;
  /** Calls back at each SIGHUP that is not caused by a closed terminal. Returns an unsubscribe function. */
  onReload(call: () => void): () => void;
}

/** The context of one command. */
export interface Context {
  readonly out: Output;
  readonly environment: ProcessEnvironment;
}

/** The action of a command. Resolves with the exit code. */
export type CommandAction<Options> = (options: Options, context: Context) => Promise<number>;

export interface CommonOptions {
  readonly json?: boolean;
}

export interface StateOptions extends CommonOptions {
  readonly state: string;
}

/** `--url`, for commands that call the enrollment service. */
export const urlOption = [
  '--url <url>',
  'URL of the enrollment service (default: the one of the state folder)',
] as const;

/** A command with `--json`. */
export function command(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .option('--json', 'print one JSON document on stdout');
}

/** Describes `--json` of a command that prints more than one document. @returns the command */
export function describeJson(of: Command, description: string): Command {
  const option = of.options.find(({ long }) => long === '--json');
  if (option !== undefined) option.description = description;
  return of;
}

/** A command with `--json` and `--state`. */
export function stateCommand(name: string, description: string): Command {
  return command(name, description).addOption(
    new Option('--state <dir>', 'state folder').default(defaultStateFolder).env('FLOTILLA_STATE'),
  );
}

/** Loads the configuration of the state folder; `flags` override it. `readAgain` does the same later. */
export async function loadStateAndConfig(
  options: StateOptions,
  context: Context,
  flags: ConfigInput = {},
): Promise<{ state: StateFolder; config: Config; readAgain: () => Promise<Config> }> {
  const state = stateFolder(options.state);
  const readAgain = (): Promise<Config> =>
    loadConfig({ file: state.config, env: context.environment.env, flags });
  return { state, config: await readAgain(), readAgain };
}

/** Parses a port number. */
export function port(text: string): number {
  const value = wholeNumber(text);
  if (value > 65_535) throw new InvalidArgumentError('A port is a number from 0 to 65535.');
  return value;
}

/** Parses a non-negative integer. */
export function wholeNumber(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('Not a whole number.');
  return Number(text);
}

/** Parses a positive number. */
export function positive(text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value) || value <= 0)
    throw new InvalidArgumentError('Not a positive number.');
  return value;
}

/** Parses a duration like `30s` into ms. */
export function durationMs(text: string): number {
  try {
    return parseDuration(text);
  } catch (error) {
    throw new InvalidArgumentError(messageOf(error));
  }
}

/** Parses a device id. */
export function deviceId(text: string): DeviceId {
  if (isDeviceId(text)) return text;
  throw new InvalidArgumentError(
    'A device id is 1 to 128 letters, digits, dots, underscores, colons or hyphens.',
  );
}
