/** `flotilla token create|list|revoke`: one-time enrollment tokens. @module */
import { Command } from 'commander';
import { isLoopback } from '../../core/config/public-address.ts';
import type { CreateTokenResponse } from '../../core/protocol/api-client.ts';
import type { DeviceId } from '../../core/device-id.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { adminClient, type AdminOptions } from '../lib/admin-client.ts';
import {
  deviceId,
  durationMs,
  stateCommand,
  urlOption,
  wholeNumber,
  type CommandAction,
  type Context,
} from '../lib/command-context.ts';
import { enrollScript } from '../lib/enroll-script.ts';
import { localCommand } from '../lib/local-command.ts';
import type { Runner } from '../lib/runner.ts';
import { tokenListCommand, tokenRevokeCommand } from './token-list.ts';

interface TokenOptions extends AdminOptions {
  readonly device?: DeviceId;
  readonly profile?: string;
  readonly group?: string;
  readonly role?: string;
  readonly ttl?: number;
  readonly uses?: number;
  readonly reenroll?: boolean;
  readonly cmp?: boolean;
}

export function tokenCommand(runner: Runner): Command {
  const token = new Command('token').description('manage enrollment tokens').addCommand(
    stateCommand('create', 'create an enrollment token; it is shown only once')
      .option('--device <id>', 'device that may use it', deviceId)
      .option(
        '--group <name>',
        'group of the device; without --device, a token for new devices of this group',
      )
      .option('--role <name>', 'role of the device in the policy (default: device)')
      .option('--profile <name>', 'enrollment profile')
      .option('--ttl <duration>', 'validity of the token (default: 24h)', durationMs)
      .option('--uses <n>', 'how many times it can be used (default: 1)', wholeNumber)
      .option(
        '--reenroll',
        'with --group: also for devices of the group that exist; for a service that enrolls on their behalf',
      )
      .option('--cmp', 'also a shared secret for CMP clients: prints its reference')
      .option(...urlOption)
      .action(runner.run(create)),
  );
  return token.addCommand(tokenListCommand(runner)).addCommand(tokenRevokeCommand(runner));
}

const create: CommandAction<TokenOptions> = async (options, context) => {
  const client = await adminClient(options, context);
  const { device, group, role, profile, uses } = options;
  const common = {
    ...(role === undefined ? {} : { role }),
    ...(profile === undefined ? {} : { profile }),
    ...(options.ttl === undefined ? {} : { ttlSeconds: Math.ceil(options.ttl / 1000) }),
    ...(uses === undefined ? {} : { uses }),
    ...(options.cmp === true ? { cmp: true } : {}),
  };
  if (device === undefined) {
    if (group === undefined || uses === undefined) {
      throw new FlotillaError('usage', { detail: 'specify --device, or --group and --uses' });
    }
    const token = await client.api.createGroupToken({
      body: { group, uses, ...common, ...(options.reenroll === true ? { reenrolls: true } : {}) },
    });
    context.out.result(
      token,
      `token    ${token.token}\n${cmpLines(token).join('')}group    ${token.group}\nuses     ${token.uses}\nexpires  ${context.out.moment(token.expiresAt)}`,
    );
    return 0;
  }
  const token = await client.api.createToken({
    body: { device, ...common, ...(group === undefined ? {} : { group }) },
  });
  context.out.result(token, tokenText(token, context));
  return 0;
};

function tokenText(token: CreateTokenResponse, { out, environment: { env } }: Context): string {
  const { hostname } = new URL(token.url);
  const text = [
    `token    ${token.token}`,
    ...cmpLines(token).map((line) => line.trimEnd()),
    `device   ${token.device}`,
    ...(token.role ? [`role     ${token.role}`] : []),
    `expires  ${out.moment(token.expiresAt)}`,
    '',
    'On the device, where this program is installed:',
    // On this machine the command may have another name; on the device we cannot know it.
    `  ${isLoopback(hostname) ? token.command.replace(' flotilla ', ` ${localCommand(env)} `) : token.command}`,
    '',
    'On the device, with curl and openssl only:',
    enrollScript(token),
  ];
  if (isLoopback(hostname)) {
    text.push(
      '',
      `The address ${token.url} works on this machine only. For devices on other machines set names (or`,
      'enroll.url) and host in flotilla.yaml, restart the service, and create the token again.',
    );
  }
  return text.join('\n');
}

/** With which reference a CMP client uses the token as its secret. */
function cmpLines({ reference }: { readonly reference?: string | undefined }): string[] {
  return reference === undefined ? [] : [`CMP ref  ${reference}\n`];
}
