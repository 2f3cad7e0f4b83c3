/**
 * Processes that end with the one that started them: it holds their stdin open, and its end, in whatever way, closes it.
 *
 * @module
 */
import type { Command } from 'commander';
import { Option } from 'commander';

export interface InputEndOptions {
  readonly untilInputEnds?: boolean;
}

/** Adds the option, which people do not need. */
export function addInputEndOption(command: Command): Command {
  return command.addOption(new Option('--until-input-ends', 'stop when stdin ends').hideHelp());
}

/** Resolves with the reason when stdin ends, if the option is given; otherwise never. */
export function inputEnd(options: InputEndOptions): Promise<string> {
  return new Promise((resolve) => {
    if (options.untilInputEnds !== true) return;
    const end = (): void => resolve('the starting process ended');
    process.stdin.once('end', end).once('close', end).on('error', end).resume();
    // A service that failed must be able to exit before.
    if ('unref' in process.stdin) process.stdin.unref();
  });
}
