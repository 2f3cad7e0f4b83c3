/**
 * What every command is given, and the options that many share.
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

/** The environment outside, passed in so that a command can run inside a test. */
export interface ProcessEnvironment {
  readonly streams: Streams;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Resolves when the process is asked to stop: SIGINT, SIGTERM, or its terminal closed. */
  stopAsked(): Promise<string>;
  /** Called at each SIGHUP that does not mean that the terminal closed. */
  onReload(call: () => void): () => void;
}

/** What one command works with. */
export interface Context {
  readonly out: Output;
  readonly environment: ProcessEnvironment;
}

/** An action of a command: its options, then what it works with. Gives the exit code. */
export type CommandAction<Options> = (options: Options, context: Context) => Promise<number>;

export interface CommonOptions {
  readonly json?: boolean;
}

export interface StateOptions extends CommonOptions {
  readonly state: string;
}

/** `--url`, for commands that speak to the enrollment service. */
export const urlOption = [
  '--url <url>',
  'the enrollment service, if not the one on the state folder',
] as const;

/** A command with `--json`. */
export function command(name: string, description: string): Command {
  return new Command(name).description(description).option('--json', 'one JSON document on stdout');
}

/** A command with `--json` and `--state`. */
export function stateCommand(name: string, description: string): Command {
  return command(name, description).addOption(
    new Option('--state <dir>', 'the state folder')
      .default(defaultStateFolder)
      .env('FLOTILLA_STATE'),
  );
}

/** The state folder that the options name, and its configuration with flags on top. */
export async function loadStateAndConfig(
  options: StateOptions,
  context: Context,
  flags: ConfigInput = {},
): Promise<{ state: StateFolder; config: Config }> {
  const state = stateFolder(options.state);
  const config = await loadConfig({ file: state.config, env: context.environment.env, flags });
  return { state, config };
}

/** Reads a port number. */
export function port(text: string): number {
  const value = wholeNumber(text);
  if (value > 65_535) throw new InvalidArgumentError('A port is 0 to 65535.');
  return value;
}

/** Reads a whole number that is not negative. */
export function wholeNumber(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('Not a whole number.');
  return Number(text);
}

/** Reads a positive number. */
export function positive(text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value) || value <= 0)
    throw new InvalidArgumentError('Not a positive number.');
  return value;
}

/** Reads a duration like `30s` into ms. */
export function duration(text: string): number {
  try {
    return parseDuration(text);
  } catch (error) {
    throw new InvalidArgumentError(messageOf(error));
  }
}

/** Reads a device id. */
export function deviceId(text: string): DeviceId {
  if (isDeviceId(text)) return text;
  throw new InvalidArgumentError(
    'A device id is 1 to 128 letters, digits, dots, underscores, colons or hyphens.',
  );
}
