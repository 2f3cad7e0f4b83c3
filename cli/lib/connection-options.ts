/**
 * The options of commands that connect to a broker as a device or service.
 *
 * @module
 */
import { Option, type Command } from 'commander';

/** `--dir`, `--mqtts` and `--id`. */
export function addConnectionOptions(command: Command): Command {
  return command
    .requiredOption('--dir <dir>', 'the folder of the identity: key.pem, chain.pem, ca.pem')
    .option('--mqtts <host:port>', 'the broker (default: the one on the state folder)')
    .option(
      '--id <client-id>',
      'the client id; a connection with the same id ends (default: the name in the certificate)',
    );
}

/** `--qos`. */
export function qosOption(meaning: string): Option {
  return new Option('--qos <level>', meaning).choices(['0', '1', '2']);
}
