/**
 * A node of a cluster in a process of its own. Arguments: state folder, URL of the enrollment service, settings as JSON.
 * Prints its addresses as JSON, and runs until SIGTERM.
 *
 * @module
 */
import { startBroker } from '../../broker/broker-service.ts';
import { checkConfig, type ConfigInput } from '../../core/config/config.ts';
import { createLog } from '../../core/log.ts';
import { stateFolder } from '../../core/state-folder.ts';

const [root = '', enrollUrl = '', settings = '{}'] = process.argv.slice(2);
const broker = await startBroker(checkConfig(JSON.parse(settings) as ConfigInput), {
  state: stateFolder(root),
  enrollUrl,
  log: createLog({ level: 'debug' }),
});
process.stdout.write(`${JSON.stringify(broker.addresses)}\n`);
process.once('SIGTERM', () => void broker.close().then(() => process.exit(0)));
void broker.failed.then(({ code }) => {
  process.stderr.write(`${JSON.stringify({ msg: 'must not continue', code })}\n`);
  process.exit(1);
});
