#!/usr/bin/env node
// Starts the command line on a Node that is new enough: the one at hand, or the one that came with
// the package. Runs the TypeScript sources in a checkout, the built JavaScript in an installed package.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';

const [major = 0] = process.versions.node.split('.').map(Number);
if (major >= 24) {
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
