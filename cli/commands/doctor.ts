/** `flotilla doctor`: tests the connection of a device step by step. @module */
import type { Command } from 'commander';
import { deviceId, stateCommand, type CommandAction } from '../lib/command-context.ts';
import { checkConnection, type CheckOptions } from '../lib/connection-checks.ts';
import type { Runner } from '../lib/runner.ts';

export function doctorCommand(runner: Runner): Command {
  return stateCommand(
    'doctor',
    'test the connection of a device step by step, and name what is wrong',
  )
    .requiredOption('--dir <dir>', 'folder of the device, as device enroll writes it')
    .option('--mqtts <host:port>', 'address of the broker (default: the one of the state folder)')
    .option('--id <id>', 'client id (default: the name in the certificate)', deviceId)
    .option('--url <url>', 'URL of the enrollment service (default: where the device enrolled)')
    .action(runner.run(doctor));
}

const doctor: CommandAction<CheckOptions> = async (options, { out }) => {
  const checks = await checkConnection(options);
  const ok = checks.every((check) => check.ok);
  const lines = checks.flatMap((check) => [
    `${check.ok ? out.style.color('green', 'ok    ') : out.style.color('red', 'FAILED')}  ${check.name}: ${check.detail}${check.code === undefined ? '' : ` [${check.code}]`}`,
    ...(check.advice === undefined ? [] : [`        ${check.advice}`]),
  ]);
  out.result({ ok, checks }, lines.join('\n'));
  return ok ? 0 : 1;
};
