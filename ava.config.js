import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';

// Each test file is a process of its own, and many tests start the command line. With the cache of compiled modules, such
// a start needs a quarter less CPU time.
const compileCache = fileURLToPath(new URL('node_modules/.cache/compiled', import.meta.url));

export default {
  files: ['test/**/*.test.ts'],
  extensions: ['ts'],
  timeout: '5m',
  workerThreads: false,
  // One more than there are cores, because many tests wait for programs that they start.
  concurrency: Math.max(2, availableParallelism()) + 1,
  environmentVariables: { NODE_COMPILE_CACHE: compileCache },
};
