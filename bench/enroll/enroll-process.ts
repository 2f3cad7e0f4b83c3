/**
 * The enrollment service as a process to measure. Its argument is the state folder. The parent sends
 * `watch` and `report` to measure the longest delay of the event loop between the two, and `stop`.
 *
 * @module
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { createLog } from '../../core/log.ts';
import { stateFolder } from '../../core/state-folder.ts';
import { startEnroll } from '../../enroll/enroll-service.ts';
import { benchConfig } from './bench-service.ts';

const startMs = performance.now();
const service = await startEnroll(benchConfig, {
  state: stateFolder(process.argv[2] ?? ''),
  log: createLog({ level: 'error' }),
});
process.send?.({ url: service.addresses.https.url, startMs: performance.now() - startMs });
const delays = monitorEventLoopDelay({ resolution: 1 });
process.on('message', (message) => {
  if (message === 'watch') {
    delays.reset();
    delays.enable();
  } else if (message === 'report') {
    delays.disable();
    process.send?.({ loopMs: delays.max / 1e6 });
  } else void service.close().then(() => process.exit(0));
});
