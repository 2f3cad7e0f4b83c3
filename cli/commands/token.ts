/** `flotilla token create`: a one-time enrollment token. @module */
import { Command } from 'commander';
import { tokenSchema } from '../../core/enrollment-api.ts';
import type { DeviceId } from '../../core/device-id.ts';
import { adminClient, type AdminOptions } from '../admin-client.ts';
import { deviceId, duration, stateCommand, whole, type Action } from '../context.ts';
import type { Runner } from '../runner.ts';

interface TokenOptions extends AdminOptions {
  readonly device: DeviceId;
  readonly group?: string;
  readonly ttl?: number;
  readonly uses?: number;
}

export function tokenCommand(runner: Runner): Command {
  return new Command('token')
    .description('enrollment tokens')
    .addCommand(
      stateCommand('create', 'create an enrollment token; it is shown once')
        .requiredOption('--device <id>', 'the device that may use it', deviceId)
        .option('--group <name>', 'the group that the device will belong to')
        .option('--ttl <duration>', 'how long it is valid (default: 24h)', duration)
        .option('--uses <n>', 'how often it may be used (default: 1)', whole)
        .option('--url <url>', 'the enrollment service, if not the one on the state folder')
        .action(runner.run(create)),
    );
}

const create: Action<TokenOptions> = async (options, context) => {
  const client = await adminClient(options, context);
  const token = await client.json('POST', '/v1/tokens', tokenSchema, {
    device: options.device,
    ...(options.group === undefined ? {} : { group: options.group }),
    ...(options.ttl === undefined ? {} : { ttlSeconds: Math.ceil(options.ttl / 1000) }),
    ...(options.uses === undefined ? {} : { uses: options.uses }),
  });
  context.out.result(
    token,
    `token    ${token.token}\ndevice   ${token.device}\nexpires  ${token.expiresAt}\n\nOn the device:\n  ${token.command}`,
  );
  return 0;
};
