/**
 * An enrollment service in a process of its own, which a test can kill: `node enroll-server-process.ts
 * STATE`. Prints its address as one line of JSON.
 *
 * @module
 */
import { checkConfig } from '../../core/config/config.ts';
import { createLog } from '../../core/log.ts';
import { stateFolder } from '../../core/state-folder.ts';
import { startEnroll } from '../../enroll/enroll-service.ts';
import { initialiseState } from '../../enroll/bootstrap/state.ts';

const state = stateFolder(process.argv[2] ?? '');
const config = checkConfig({ enroll: { port: 0, metricsPort: 0 } });
const log = createLog({ level: 'warn' });
await initialiseState(state, config, { log });
const service = await startEnroll(config, { state, log });
process.stdout.write(`${JSON.stringify(service.addresses.https)}\n`);
