/**
 * A broker in a separate process, for tests that kill it. Arguments: state folder, URL of the enrollment
 * service. Prints its addresses as JSON and runs until it is killed.
 *
 * @module
 */
import { startBroker } from '../../broker/broker-service.ts';
import { checkConfig } from '../../core/config/config.ts';
import { createLog } from '../../core/log.ts';
import { stateFolder } from '../../core/state-folder.ts';

const [root = '', enrollUrl = ''] = process.argv.slice(2);
const broker = await startBroker(
  checkConfig({ broker: { mqttsPort: 0, wssPort: 0, metricsPort: 0, store: 'durable' } }),
  { state: stateFolder(root), enrollUrl, log: createLog({ level: 'info' }) },
);
process.stdout.write(`${JSON.stringify(broker.addresses)}\n`);
