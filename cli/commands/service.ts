/** `flotilla service create`: issues a certificate for a backend, an operator or a broker. @module */
import { Command, Option } from 'commander';
import type { DeviceId } from '../../core/device-id.ts';
import { serviceRoles } from '../../core/protocol/enrollment-api.ts';
import { adminClient, type AdminOptions } from '../lib/admin-client.ts';
import { deviceId, stateCommand, urlOption, type CommandAction } from '../lib/command-context.ts';
import { enrollInto } from '../lib/enroll-device.ts';
import type { Runner } from '../lib/runner.ts';

interface ServiceOptions extends AdminOptions {
  readonly name: DeviceId;
  readonly role: (typeof serviceRoles)[number];
  readonly out: string;
  readonly names: readonly string[];
}

export function serviceCommand(runner: Runner): Command {
  return new Command('service')
    .description('manage certificates of backends, operators and brokers')
    .addCommand(
      stateCommand('create', 'create a key and a certificate')
        .requiredOption('--name <id>', 'name in the certificate', deviceId)
        .addOption(
          new Option('--role <role>', 'role of the certificate')
            .choices(serviceRoles)
            .default('service'),
        )
        .requiredOption('--out <dir>', 'folder for key.pem, cert.pem, chain.pem and ca.pem')
        .option(
          '--names <names...>',
          'for role broker: host names and addresses that devices connect to',
          [] as string[],
        )
        .option(...urlOption)
        .action(runner.run(create)),
    );
}

const create: CommandAction<ServiceOptions> = async (options, context) => {
  const client = await adminClient(options, context);
  const made = await enrollInto({
    folder: options.out,
    id: options.name,
    keyType: 'p256',
    url: client.url,
    fingerprint: client.rootFingerprint(),
    waitMs: 0,
    waiting: () => undefined,
    call: (ca, csr) => ({
      method: 'POST',
      url: new URL('/v1/services', client.url).href,
      ca,
      cert: client.cert,
      key: client.key,
      body: { name: options.name, role: options.role, csr, names: options.names },
    }),
  });
  context.out.result(
    made,
    `created ${made.device} with role ${options.role}; its certificate is valid until ${made.notAfter}\n${made.files.chain}\n${made.files.key}`,
  );
  return 0;
};
