#!/usr/bin/env node
// Starts the command line on a suitable Node.js. In a checkout it runs the TypeScript sources, on the
// Node.js at hand or on the one of the development dependency "node". In an installed package it runs
// the built JavaScript.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { setImmediate } from 'node:timers';

const sources = new URL('./main.ts', import.meta.url);
const built = new URL('../dist/cli/main.js', import.meta.url);
const allocatorSource = new URL('./lib/allocator.ts', import.meta.url);
const builtAllocator = new URL('../dist/cli/lib/allocator.js', import.meta.url);
const isCheckout = existsSync(sources);
// A checkout needs type stripping, a package node:sqlite without a flag.
const [majorMin, minorMin] = isCheckout ? [24, 0] : [22, 13];
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
const isSupported = major > majorMin || (major === majorMin && minor >= minorMin);
const [first] = process.argv.slice(2);

if (process.platform === 'win32') {
  console.error(
    'flotilla does not run on Windows: it needs POSIX file modes and signals. Use Linux, WSL 2 or a container.',
  );
  process.exit(1);
}

if ((first === '--version' || first === '-V') && (isSupported || isCheckout)) {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  console.log(JSON.parse(text).version);
} else if (isSupported) {
  await restartForServing();
  hideExperimentalWarnings();
  const { main } = await import((isCheckout ? sources : built).href);
  process.exitCode = await main(process.argv.slice(2));
} else {
  runOnBundledNode();
}

function runOnBundledNode() {
  let node;
  try {
    if (isCheckout) node = createRequire(import.meta.url).resolve('node/bin/node');
  } catch {
    // Not installed: npm ci --omit=dev, or npm ci was not run yet.
  }
  if (node === undefined) {
    const needed = isCheckout ? `${majorMin}` : `${majorMin}.${minorMin}`;
    console.error(`flotilla needs Node.js ${needed} or newer; this is ${process.version}.`);
    process.exit(1);
  }
  const child = spawn(node, [...process.execArgv, ...process.argv.slice(1)], { stdio: 'inherit' });
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  for (const signal of signals) {
    process.on(signal, () => {
      // Ctrl-C reaches every process at the terminal. Once more would mean: stop at once.
      if (signal !== 'SIGINT' || process.stdin.isTTY !== true) child.kill(signal);
    });
  }
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code ?? 1);
    for (const name of signals) process.removeAllListeners(name);
    // The kernel ignores a signal that process 1 sends to itself: then the shell's number says it.
    if (process.pid !== 1) process.kill(process.pid, signal);
    setImmediate(() => process.exit(128 + constants.signals[signal]));
  });
}

// node:sqlite is called experimental in Node 22 and 24; its warning says nothing to our users.
function hideExperimentalWarnings() {
  const { emitWarning } = process;
  process.emitWarning = (warning, ...rest) => {
    if (rest[0] !== 'ExperimentalWarning') emitWarning.call(process, warning, ...rest);
  };
}

// A broker's thousands of connections leave little behind in each turn: with a small young generation
// an idle connection costs 7 KB less. V8 takes that setting, and the loader another allocator, only at
// the start, so the process starts once more, in place.
async function restartForServing() {
  const [command, sub] = process.argv.slice(2);
  if (command !== 'up' && (command !== 'broker' || sub !== 'serve')) return;
  // These print something and end.
  const printed = ['--print-config', '--help', '-h'];
  if (process.argv.slice(2).some((argument) => printed.includes(argument))) return;
  const allocator = await import((isCheckout ? allocatorSource : builtAllocator).href);
  const chosen = [...process.execArgv, process.env.NODE_OPTIONS ?? ''].join(' ');
  if (typeof process.execve === 'function' && !chosen.includes('semi-space')) {
    const setting = allocator.allocatorSetting(process.argv.slice(2), process.env);
    const variables = allocator.allocatorVariables(setting, process.env);
    process.execve(
      process.execPath,
      [
        process.execPath,
        '--max-semi-space-size=4',
        // node:sqlite is called experimental in Node 22 and 24; its warning says nothing to our users.
        '--disable-warning=ExperimentalWarning',
        ...process.execArgv,
        ...process.argv.slice(1),
      ],
      { ...process.env, ...variables },
    );
  }
  // Programs that this process starts get the allocator of the system.
  const rest = allocator.withoutAllocator(process.env);
  delete process.env.LD_PRELOAD;
  delete process.env.MALLOC_CONF;
  Object.assign(process.env, rest);
}
