/** `flotilla device revoke|suspend|resume|delete`: restricts a device, or ends a restriction. @module */
import { Option, type Command } from 'commander';
import { amountText } from '../../core/amount-text.ts';
import type { DeviceId } from '../../core/device-id.ts';
import type { GetDeviceResponse } from '../../core/protocol/api-client.ts';
import { revocationReasons, type RevocationReason } from '../../core/protocol/enrollment-api.ts';
import { adminClient, type AdminOptions } from '../lib/admin-client.ts';
import {
  deviceId,
  stateCommand,
  urlOption,
  type CommandAction,
  type Context,
} from '../lib/command-context.ts';
import { confirmed, destructive, type ConfirmationOptions } from '../lib/confirmation.ts';
import type { Runner } from '../lib/runner.ts';
import { reportUnconfirmed } from '../lib/unconfirmed.ts';

interface RestrictionOptions extends AdminOptions, ConfirmationOptions {
  readonly ownIdentity?: boolean;
}

export interface RevokeOptions extends RestrictionOptions {
  readonly reason: RevocationReason;
}

type Action<O> = (id: DeviceId, ...rest: Parameters<CommandAction<O>>) => Promise<number>;

export function restrictionCommands(runner: Runner): Command[] {
  return [
    addRevokeOptions(
      one('revoke', 'revoke the certificates of a device and close its connections immediately'),
    ).action(runner.runWith(revoke)),
    addOwnIdentity(one('suspend', 'block a device until it is resumed')).action(
      runner.runWith(suspend),
    ),
    one('resume', 'unblock a suspended device').action(runner.runWith(resume)),
    addOwnIdentity(
      destructive(one('delete', 'revoke a device and delete it from the registry')),
    ).action(runner.runWith(remove)),
  ];
}

/** Adds the options of a command that revokes. */
export function addRevokeOptions(command: Command): Command {
  return addOwnIdentity(
    destructive(
      command.addOption(
        new Option('--reason <reason>', 'revocation reason of RFC 5280')
          .choices(revocationReasons)
          .default('unspecified'),
      ),
    ),
  );
}

/** Adds `--own-identity`. */
export function addOwnIdentity(command: Command): Command {
  return command.option(
    '--own-identity',
    'also if it is the identity that this command uses, which is then locked out',
  );
}

function one(name: string, description: string): Command {
  return stateCommand(name, description)
    .argument('<id>', 'the device', deviceId)
    .option(...urlOption);
}

/** The query that confirms that the identity may be the own one. */
export function ownIdentityParameter({ ownIdentity }: Pick<RestrictionOptions, 'ownIdentity'>): {
  readonly ownIdentity?: 'true';
} {
  return ownIdentity === true ? { ownIdentity: 'true' } : {};
}

const revoke: Action<RevokeOptions> = async (id, options, context) => {
  const client = await adminClient(options, context);
  const device = await client.api.getDevice({ id });
  const go = await confirmed(planOf('revoke', device), options, context);
  if (go !== true) return go;
  return revokeIdentity(device.id, options, context);
};

/** Revokes an identity, and prints the result. */
export async function revokeIdentity(
  id: string,
  options: RevokeOptions,
  context: Context,
): Promise<number> {
  const client = await adminClient(options, context);
  const { reason } = options;
  const query = ownIdentityParameter(options);
  const done = await client.api.revokeDevice({ id, query, body: { reason } });
  context.out.result(
    done,
    `revoked ${done.id}: ${amountText(done.serials.length, 'certificate')}, ${amountText(done.connectionsClosed, 'connection')} closed, ${Math.round(done.elapsedMs)} ms`,
  );
  return reportUnconfirmed(done, context.out);
}

const suspend: Action<RestrictionOptions> = async (id, options, context) => {
  const client = await adminClient(options, context);
  const device = await client.api.suspendDevice({
    id,
    query: ownIdentityParameter(options),
    body: {},
  });
  context.out.result(device, `${device.id} is ${device.status}`);
  return reportUnconfirmed({ ...device, brokers: device.brokersAsked }, context.out);
};

const resume: Action<AdminOptions> = async (id, options, context) => {
  const client = await adminClient(options, context);
  const device = await client.api.resumeDevice({ id, body: {} });
  context.out.result(device, `${device.id} is ${device.status}`);
  return 0;
};

const remove: Action<RestrictionOptions> = async (id, options, context) => {
  const client = await adminClient(options, context);
  const device = await client.api.getDevice({ id });
  const go = await confirmed(planOf('delete', device), options, context);
  if (go !== true) return go;
  const done = await client.api.deleteDevice({ id, query: ownIdentityParameter(options) });
  context.out.result(done, `deleted ${id}`);
  return reportUnconfirmed(done, context.out);
};

/** What a revocation or deletion means for an identity. */
export function planOf(
  action: 'revoke' | 'delete',
  { id, role, certificates, connected, group }: GetDeviceResponse,
): Parameters<typeof confirmed>[0] {
  const active = certificates.filter(({ status }) => status === 'active').length;
  const of = group === null ? '' : `, group ${group}`;
  return {
    action,
    summary: `${action} ${id} (role ${role}${of})`,
    count: 1,
    targets: [id],
    effects: [
      `${active} active ${active === 1 ? 'certificate is' : 'certificates are'} revoked; this cannot be undone.`,
      connected ? 'Its connections are closed now.' : 'It is not connected.',
      ...(action === 'delete' ? ['Its group, attributes and history in the list are lost.'] : []),
      ...(action === 'delete' && role === 'device'
        ? ['Its queue and the retained messages that it published are deleted.']
        : []),
    ],
  };
}
