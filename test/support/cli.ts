/**
 * The command line under test: inside the process of the test if possible, which saves half a second per
 * command, or as a program.
 *
 * @module
 */
import { createHash, X509Certificate } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { PassThrough } from 'node:stream';
import type { z } from 'zod';
import { main } from '../../cli/main.ts';
import { spawnNode, type Child } from './child.ts';

/** The program that `npx flotilla` runs. */
export const flotillaPath = resolve('cli/flotilla.mjs');

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** The JSON document on stdout, parsed. Throws unless there is exactly one. */
  readonly json: () => unknown;
}

/** Runs one command in this process, with `env` as its whole environment. */
export async function flotilla(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<CommandResult> {
  const out = collector();
  const err = collector();
  const code = await main(args, {
    streams: { stdout: out.stream, stderr: err.stream },
    env,
    stopAsked: () => new Promise(() => undefined),
    onReload: () => () => undefined,
  });
  const stdout = out.text();
  return {
    code,
    stdout,
    stderr: err.text(),
    json: () => {
      const lines = stdout.split('\n').filter((line) => line !== '');
      if (lines.length !== 1) throw new Error(`${lines.length} lines on stdout: ${stdout}`);
      return JSON.parse(lines[0]!) as unknown;
    },
  };
}

/** The ready line of `up`. */
export interface Ready {
  readonly event: 'ready';
  readonly mqtts: { readonly host: string; readonly port: number };
  readonly wss: { readonly host: string; readonly port: number };
  readonly https: { readonly url: string };
  readonly metrics: { readonly url: string };
  readonly ca: { readonly file: string; readonly fingerprint: string };
  readonly state: string;
  /** With `--nodes`. */
  readonly nodes?: readonly {
    readonly name: string;
    readonly role: 'active' | 'standby';
    readonly pid: number;
  }[];
  readonly database?: { readonly pid: number };
}

export interface Up {
  readonly ready: Ready;
  readonly readyAfterMs: number;
  readonly child: Child;
  /** A folder for the files of the tests, deleted at the end. */
  readonly folder: string;
  /** Runs a command on its state with `--json`, expects success, and validates the result. */
  ask<T>(shape: z.ZodType<T>, ...args: string[]): Promise<T>;
  /** Stops it with a signal, checks that it exits with 0, and deletes its folder. */
  close(): Promise<void>;
}

export const anyPorts: readonly string[] = [
  ...['--mqtts-port', '0', '--wss-port', '0', '--https-port', '0', '--metrics-port', '0'],
];

/** Starts `flotilla up` as a program, on an empty folder, on free ports; resolves when it is ready. */
export function startUp(...more: string[]): Promise<Up> {
  return startUpWith({}, ...more);
}

/** As {@link startUp}, with settings in the environment. */
export async function startUpWith(
  env: Readonly<Record<string, string>>,
  ...more: string[]
): Promise<Up> {
  const folder = mkdtempSync(join(tmpdir(), 'flotilla-up-'));
  const state = join(folder, 'state');
  const teardowns: (() => unknown)[] = [];
  const beganMs = performance.now();
  const child = spawnNode(
    { teardown: (call) => void teardowns.push(call) },
    [flotillaPath, 'up', '--json', '--state', state, ...anyPorts, ...more],
    { timeoutMs: 600_000, env },
  );
  const close = async (): Promise<void> => {
    const done = await child.stop();
    await rm(folder, { recursive: true, force: true });
    if (done.code !== 0) throw new Error(`up ended with ${String(done.code)}: ${done.stderr}`);
  };
  const line = await child.line(() => true, 90_000);
  const readyAfterMs = performance.now() - beganMs;
  const ready = JSON.parse(line) as Ready;
  return {
    ready,
    readyAfterMs,
    child,
    folder,
    close,
    async ask(shape, ...args) {
      const done = await flotilla([...args, '--json', '--state', state]);
      if (done.code !== 0) throw new Error(`flotilla ${args.join(' ')}: ${done.stderr}`);
      return shape.parse(done.json());
    },
  };
}

/** The fingerprint of a PEM certificate, computed independently of the code under test. */
export function pemFingerprint(pem: string): string {
  const { raw } = new X509Certificate(pem);
  return `sha256:${createHash('sha256').update(raw).digest('hex')}`;
}

/** The arguments of mosquitto_pub and mosquitto_sub for an identity in a folder. */
export function mosquittoArgs(folder: string, { mqtts }: Ready, clientId: string): string[] {
  return [
    ...['--cafile', join(folder, 'ca.pem'), '--cert', join(folder, 'chain.pem')],
    ...['--key', join(folder, 'key.pem'), '-h', mqtts.host, '-p', String(mqtts.port)],
    ...['-i', clientId],
  ];
}

function collector(): { stream: PassThrough; text: () => string } {
  const stream = new PassThrough();
  let text = '';
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => (text += chunk));
  return {
    stream,
    text: () => {
      const rest = stream.read() as string | null;
      return text + (rest ?? '');
    },
  };
}
