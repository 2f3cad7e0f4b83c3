/** `flotilla service list|revoke`: the identities of backends, operators, brokers and servers. @module */
import { Option, type Command } from 'commander';
import type { GetDeviceResponse, ListDevicesResponse } from '../../core/protocol/api-client.ts';
import { serviceRoles } from '../../core/protocol/enrollment-api.ts';
import type { DeviceId } from '../../core/device-id.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { adminClient, type AdminClient, type AdminOptions } from '../lib/admin-client.ts';
import { deviceId, stateCommand, urlOption, type CommandAction } from '../lib/command-context.ts';
import { confirmed } from '../lib/confirmation.ts';
import { table, type Output } from '../lib/output.ts';
import type { Runner } from '../lib/runner.ts';
import { statusText } from '../lib/style.ts';
import {
  addRevokeOptions,
  planOf,
  revokeIdentity,
  type RevokeOptions,
} from './device-restriction.ts';

interface ListOptions extends AdminOptions {
  readonly role?: (typeof serviceRoles)[number];
}

const pageItems = 1000;

export function serviceListCommands(runner: Runner): Command[] {
  return [
    stateCommand('list', 'list the identities that are not devices')
      .addOption(new Option('--role <role>', 'only this role').choices(serviceRoles))
      .option(...urlOption)
      .action(runner.run(list)),
    addRevokeOptions(
      stateCommand('revoke', 'revoke the certificates of a service and close its connections')
        .argument('<name>', 'name of the service', deviceId)
        .option(...urlOption),
    ).action(runner.runWith(revoke)),
  ];
}

const list: CommandAction<ListOptions> = async (options, context) => {
  const client = await adminClient(options, context);
  const roles = options.role === undefined ? serviceRoles : [options.role];
  const services: GetDeviceResponse[] = [];
  for (const role of roles) services.push(...(await withRole(client, role)));
  context.out.result({ services }, serviceTable(services, context.out));
  return 0;
};

async function withRole(client: AdminClient, role: string): Promise<GetDeviceResponse[]> {
  const found: GetDeviceResponse[] = [];
  let after: string | null = '';
  while (after !== null) {
    const page: ListDevicesResponse = await client.api.listDevices({
      query: { role, limit: pageItems, ...(after === '' ? {} : { after }) },
    });
    found.push(...page.devices);
    after = page.next;
  }
  return found;
}

function serviceTable(services: readonly GetDeviceResponse[], out: Output): string {
  if (services.length === 0) return 'no services';
  return table([
    ['NAME', 'ROLE', 'STATUS', 'CONNECTED', 'CERTIFICATE ENDS', 'LAST SEEN'],
    ...services.map((service) => [
      service.id,
      service.role,
      statusText(service.status, out.style),
      service.connected ? out.style.color('green', 'yes') : 'no',
      out.time(
        service.certificates
          .filter(({ status }) => status === 'active')
          .map(({ notAfter }) => notAfter)
          .sort()
          .at(-1),
      ),
      service.connected ? 'now' : out.time(service.lastSeenAt),
    ]),
  ]);
}

const revoke = async (
  id: DeviceId,
  ...[options, context]: Parameters<CommandAction<RevokeOptions>>
): Promise<number> => {
  const client = await adminClient(options, context);
  const service = await client.api.getDevice({ id });
  if (!serviceRoles.some((role) => role === service.role)) {
    throw new FlotillaError('usage', {
      detail: `${id} is a device; use flotilla device revoke ${id}`,
    });
  }
  const go = await confirmed(planOf('revoke', service), options, context);
  return go === true ? revokeIdentity(id, options, context) : go;
};
