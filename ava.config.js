import { fileURLToPath } from 'node:url';

// Each test file is a process of its own, and many tests start the command line. With the cache of compiled modules, such
// a start needs a quarter less CPU time.
const compileCache = fileURLToPath(new URL('node_modules/.cache/compiled', import.meta.url));

export default {
  files: ['test/**/*.test.ts'],
  extensions: ['ts'],
  timeout: '5m',
  workerThreads: false,
  concurrency: 2,
  environmentVariables: { NODE_COMPILE_CACHE: compileCache },
};
