/** The options that all commands which renew a certificate on the device share. @module */
import { Option, type Command } from 'commander';
import { keyTypes } from '../../certs/key.ts';
import { command } from './command-context.ts';

/** A command with the options of a renewal. */
export function renewalOptions(name: string, description: string): Command {
  return command(name, description)
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
    .option('--hook <program>', 'program to run after a renewal, with the folder as its argument');
}
