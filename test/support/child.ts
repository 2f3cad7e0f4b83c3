/**
 * Child processes of a test: started without a shell and killed at the end of the test.
 *
 * @module
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { ExecutionContext } from 'ava';

export interface ChildOptions {
  readonly cwd?: string;
  /** Added to the environment of the test; undefined removes a variable. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Written to stdin, which is then closed (default: empty). */
  readonly input?: string | Buffer;
  /** Keeps stdin open, for programs that exit when it is closed: openssl s_server. */
  readonly keepInput?: boolean;
  /** Kills the program after this time, in ms (default: 90 s). */
  readonly timeoutMs?: number;
}

export interface Finished {
  /** Undefined if a signal ended it. */
  readonly code: number | undefined;
  readonly signal: NodeJS.Signals | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Child {
  readonly process: ChildProcess;
  readonly pid: number;
  /** Everything that it has printed so far. */
  readonly stdout: () => string;
  readonly stderr: () => string;
  /**
   * Waits for the first line of stdout, already printed or not, for which `wanted` returns true. Rejects
   * with the whole output when the program ends or the time is over.
   */
  line(wanted: (line: string) => boolean, timeoutMs?: number): Promise<string>;
  /** The same on stderr. */
  errorLine(wanted: (line: string) => boolean, timeoutMs?: number): Promise<string>;
  /** Resolves when it has ended and its output has been read. */
  readonly finished: Promise<Finished>;
  /** Sends a signal (default: SIGTERM) and waits for the end. */
  stop(signal?: NodeJS.Signals): Promise<Finished>;
}

/** Starts a program. Kills it with SIGKILL if it still runs at the end of the test. */
export function spawnChild(
  t: Pick<ExecutionContext, 'teardown'>,
  command: string,
  args: readonly string[],
  options: ChildOptions = {},
): Child {
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const timeoutMs = options.timeoutMs ?? 90_000;
  const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
  child.stdin.on('error', () => undefined); // EPIPE: it does not read stdin.
  if (options.keepInput !== true) child.stdin.end(options.input);
  else if (options.input !== undefined) child.stdin.write(options.input);
  const out = collect(child.stdout);
  const err = collect(child.stderr);
  const finished = new Promise<Finished>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      out.end();
      err.end();
      resolve({
        code: code ?? undefined,
        signal: signal ?? undefined,
        stdout: out.text(),
        stderr: err.text(),
      });
    });
  });
  finished.catch(() => undefined);
  const all = (): string => `${command} ${args.join(' ')}\n${out.text()}\n${err.text()}`;
  t.teardown(async () => {
    clearTimeout(timer);
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  });
  return {
    process: child,
    pid: child.pid ?? 0,
    stdout: out.text,
    stderr: err.text,
    line: (wanted, ms = timeoutMs) => out.line(wanted, ms, all),
    errorLine: (wanted, ms = timeoutMs) => err.line(wanted, ms, all),
    finished,
    stop(signal = 'SIGTERM') {
      child.kill(signal);
      return finished;
    },
  };
}

/** Starts this Node.js with a script, the first of `args`. */
export function spawnNode(
  t: Pick<ExecutionContext, 'teardown'>,
  args: readonly string[],
  options: ChildOptions = {},
): Child {
  return spawnChild(t, process.execPath, args, options);
}

/** Runs a program to its end. A failure of the program is a result, not an exception. */
export function runChild(
  t: Pick<ExecutionContext, 'teardown'>,
  command: string,
  args: readonly string[],
  options: ChildOptions = {},
): Promise<Finished> {
  return spawnChild(t, command, args, options).finished;
}

interface Collected {
  text: () => string;
  line(wanted: (line: string) => boolean, timeoutMs: number, all: () => string): Promise<string>;
  end(): void;
}

function collect(stream: NodeJS.ReadableStream): Collected {
  let text = '';
  let ended = false;
  const lines: string[] = [];
  const waiting = new Set<(line: string | undefined) => void>();
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => (text += chunk));
  createInterface({ input: stream, crlfDelay: Infinity }).on('line', (line) => {
    lines.push(line);
    for (const look of [...waiting]) look(line);
  });
  return {
    text: () => text,
    line(wanted, timeoutMs, all) {
      const seen = lines.find(wanted);
      if (seen !== undefined) return Promise.resolve(seen);
      if (ended) return Promise.reject(new Error(`ended without the line: ${all()}`));
      return new Promise((resolve, reject) => {
        const done = (): void => {
          clearTimeout(timer);
          waiting.delete(look);
        };
        const look = (line: string | undefined): void => {
          if (line !== undefined && !wanted(line)) return;
          done();
          if (line === undefined) reject(new Error(`ended without the line: ${all()}`));
          else resolve(line);
        };
        const timer = setTimeout(() => {
          done();
          reject(new Error(`no such line in ${timeoutMs} ms: ${all()}`));
        }, timeoutMs);
        waiting.add(look);
      });
    },
    end() {
      ended = true;
      for (const look of [...waiting]) look(undefined);
    },
  };
}
