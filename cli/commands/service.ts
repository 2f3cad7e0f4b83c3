/** `flotilla service create|list|renew|revoke`: certificates of backends, operators, brokers and servers. @module */
import { createPrivateKey } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { Command, Option } from 'commander';
import { readCertificate } from '../../certs/certificate.ts';
import { splitPem } from '../../certs/pem.ts';
import { createPkcs12 } from '../../certs/pkcs12.ts';
import { writeFileAtomic } from '../../core/atomic-file.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { assertSecret } from '../../core/secret-file.ts';
import type { DeviceId } from '../../core/device-id.ts';
import { serviceRoles } from '../../core/protocol/enrollment-api.ts';
import { adminClient, type AdminOptions } from '../lib/admin-client.ts';
import { deviceId, stateCommand, urlOption, type CommandAction } from '../lib/command-context.ts';
import type { EnrolledDevice } from '../lib/enroll-device.ts';
import { enrollService } from '../lib/service-identity.ts';
import type { Runner } from '../lib/runner.ts';
import { renewCommand } from './device-renew.ts';
import { serviceListCommands } from './service-list.ts';

interface ServiceOptions extends AdminOptions {
  readonly name: DeviceId;
  readonly role: (typeof serviceRoles)[number];
  readonly policyRole?: string;
  readonly out: string;
  readonly names: readonly string[];
  readonly p12?: string;
  readonly p12PassphraseFile?: string;
}

export function serviceCommand(runner: Runner): Command {
  const service = new Command('service')
    .description('manage certificates of backends, operators and brokers')
    .addCommand(
      stateCommand('create', 'create a key and a certificate')
        .requiredOption('--name <id>', 'name in the certificate', deviceId)
        .addOption(
          new Option('--role <role>', 'role of the certificate')
            .choices(serviceRoles)
            .default('service'),
        )
        .option('--policy-role <name>', 'for role service: another role in the policy')
        .requiredOption('--out <dir>', 'folder for key.pem, cert.pem, chain.pem and ca.pem')
        .option(
          '--names <names...>',
          'for roles broker and server: host names and addresses that clients connect to',
          [] as string[],
        )
        .option('--p12 <file>', 'also write key and chain as PKCS#12, for browsers and key stores')
        .option('--p12-passphrase-file <file>', 'file with the passphrase of the PKCS#12 file')
        .option(...urlOption)
        .action(runner.run(create)),
    );
  service.addCommand(renewCommand(runner));
  for (const command of serviceListCommands(runner)) service.addCommand(command);
  return service;
}

const create: CommandAction<ServiceOptions> = async (options, context) => {
  const passphrase = await readP12Passphrase(options);
  const client = await adminClient(options, context);
  const made = await enrollService(client, options.out, options);
  if (options.p12 !== undefined && passphrase !== undefined) {
    await writePkcs12(options.p12, made, passphrase);
  }
  const files = [
    ...Object.values<string>({ ...made.files }),
    ...(options.p12 === undefined ? [] : [options.p12]),
  ];
  context.out.result(
    made,
    `created ${made.device} with role ${options.role}; its certificate ends ${context.out.moment(made.notAfter)}\n${files.join('\n')}`,
  );
  return 0;
};

/** Before the key is created, so that a missing passphrase leaves nothing behind. */
async function readP12Passphrase(options: ServiceOptions): Promise<string | undefined> {
  const { p12, p12PassphraseFile: path } = options;
  if ((p12 === undefined) !== (path === undefined)) {
    throw new FlotillaError('usage', {
      detail:
        '--p12 and --p12-passphrase-file belong together: a passphrase must not be an argument',
    });
  }
  if (path === undefined) return undefined;
  const passphrase = await readFile(path, 'utf8')
    .then((text) => text.replace(/\r?\n$/, ''))
    .catch((error: unknown) => {
      throw new FlotillaError('input-unreadable', { detail: path, cause: error });
    });
  await assertSecret(path);
  if (passphrase === '') {
    throw new FlotillaError('input-unreadable', { detail: `${path} is empty` });
  }
  return passphrase;
}

async function writePkcs12(path: string, made: EnrolledDevice, passphrase: string): Promise<void> {
  const [key, chain] = await Promise.all([
    readFile(made.files.key, 'utf8'),
    readFile(made.files.chain, 'utf8'),
  ]);
  const file = await createPkcs12({
    key: createPrivateKey(key),
    certificates: splitPem(chain).map((pem) => readCertificate(pem).x509.raw),
    passphrase,
    name: made.device,
  });
  await writeFileAtomic(path, file);
}
