/** `flotilla token create`: a one-time enrollment token. @module */
import { Command } from 'commander';
import { groupTokenSchema, tokenSchema } from '../../core/protocol/enrollment-api.ts';
import type { DeviceId } from '../../core/device-id.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { adminClient, type AdminOptions } from '../lib/admin-client.ts';
import {
  deviceId,
  duration,
  stateCommand,
  urlOption,
  wholeNumber,
  type CommandAction,
} from '../lib/command-context.ts';
import type { Runner } from '../lib/runner.ts';

interface TokenOptions extends AdminOptions {
  readonly device?: DeviceId;
  readonly profile?: string;
  readonly group?: string;
  readonly ttl?: number;
  readonly uses?: number;
}

export function tokenCommand(runner: Runner): Command {
  return new Command('token').description('enrollment tokens').addCommand(
    stateCommand('create', 'create an enrollment token; it is shown once')
      .option('--device <id>', 'the device that may use it', deviceId)
      .option('--group <name>', 'the group that the device will belong to; alone: for new devices')
      .option('--profile <name>', 'the enrollment profile to follow')
      .option('--ttl <duration>', 'how long it is valid (default: 24h)', duration)
      .option('--uses <n>', 'how often it may be used (default: 1)', wholeNumber)
      .option(...urlOption)
      .action(runner.run(create)),
  );
}

const create: CommandAction<TokenOptions> = async (options, context) => {
  const client = await adminClient(options, context);
  const { device, group, profile, uses } = options;
  const common = {
    ...(profile === undefined ? {} : { profile }),
    ...(options.ttl === undefined ? {} : { ttlSeconds: Math.ceil(options.ttl / 1000) }),
    ...(uses === undefined ? {} : { uses }),
  };
  if (device === undefined) {
    if (group === undefined || uses === undefined) {
      throw new FlotillaError('usage', { detail: 'name a --device, or a --group and its --uses' });
    }
    const token = await client.json('POST', '/v1/tokens/group', groupTokenSchema, {
      group,
      ...common,
    });
    context.out.result(
      token,
      `token    ${token.token}\ngroup    ${token.group}\nuses     ${token.uses}\nexpires  ${token.expiresAt}`,
    );
    return 0;
  }
  const token = await client.json('POST', '/v1/tokens', tokenSchema, {
    device,
    ...(group === undefined ? {} : { group }),
    ...common,
  });
  context.out.result(
    token,
    `token    ${token.token}\ndevice   ${token.device}\nexpires  ${token.expiresAt}\n\nOn the device:\n  ${token.command}`,
  );
  return 0;
};
