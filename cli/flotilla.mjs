#!/usr/bin/env node
// Starts the command line on a Node that is new enough: the one at hand, or the one that came with
// the package. Runs the TypeScript sources in a checkout, the built JavaScript in an installed package.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';

const [major = 0] = process.versions.node.split('.').map(Number);
if (major >= 24) {
  settleMemory();
  const sources = new URL('./main.ts', import.meta.url);
  const { main } = await import(
    existsSync(sources) ? sources.href : new URL('./main.js', import.meta.url).href
  );
  process.exitCode = await main(process.argv.slice(2));
} else {
  let node;
  try {
    node = createRequire(import.meta.url).resolve('node/bin/node');
  } catch {
    console.error(`flotilla needs Node.js 24 or newer; this is ${process.version}.`);
    process.exit(1);
  }
  const child = spawn(node, [...process.execArgv, ...process.argv.slice(1)], { stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
    process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => {
    if (signal) process.kill(process.pid, signal);
    else process.exit(code ?? 1);
  });
}

// A broker's thousands of connections leave little behind in each turn: with a small young generation
// an idle one costs 7 KB less. It can only be set before the first line runs, so the process
// begins once more, in place.
function settleMemory() {
  const [command, sub] = process.argv.slice(2);
  const serves = command === 'up' || (command === 'broker' && sub === 'serve');
  const chosen = [...process.execArgv, process.env.NODE_OPTIONS ?? ''].join(' ');
  if (!serves || typeof process.execve !== 'function' || chosen.includes('semi-space')) return;
  process.execve(process.execPath, [
    process.execPath,
    '--max-semi-space-size=4',
    ...process.execArgv,
    ...process.argv.slice(1),
  ]);
}
