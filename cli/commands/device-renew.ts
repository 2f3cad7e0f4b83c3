/**
 * `flotilla device renew`: renews a certificate on the device, authenticated by the current one.
 *
 * The new certificate replaces the current one only after a test connection with it has succeeded: to
 * the broker if its address is known, otherwise to the enrollment service.
 *
 * @module
 */
import { Option, type Command } from 'commander';
import { keyTypes } from '../../certs/key.ts';
import { command, type CommandAction, type CommonOptions } from '../lib/command-context.ts';
import { renewIdentity, type RenewalOptions } from '../lib/identity-renewal.ts';
import type { Runner } from '../lib/runner.ts';

type RenewOptions = CommonOptions & RenewalOptions;

export function renewCommand(runner: Runner): Command {
  return command('renew', 'on the device: renew the certificate, authenticated by the current one')
    .requiredOption('--dir <dir>', 'folder of the identity, as device enroll wrote it')
    .option('--rekey', 'generate a new key')
    .addOption(
      new Option('--key-type <type>', 'type of the new key, with --rekey')
        .choices(keyTypes)
        .default('p256'),
    )
    .option('--url <url>', 'URL of the enrollment service (default: the one used for enrollment)')
    .option(
      '--mqtts <host:port>',
      'broker to test the new certificate with, before it replaces the current one',
    )
    .action(runner.run(renew));
}

const renew: CommandAction<RenewOptions> = async (options, context) => {
  const made = await renewIdentity(options);
  if (made !== undefined) {
    const text = `renewed the certificate of ${made.device}; it is valid until ${made.notAfter}`;
    context.out.result(made, text);
  }
  return 0;
};
