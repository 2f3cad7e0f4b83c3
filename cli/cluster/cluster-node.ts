/**
 * A process of the cluster: a broker or an instance of the enrollment service. One that ends is reported and started again.
 *
 * @module
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { systemClock, type Cancel } from '../../core/clock.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { Logger } from '../../core/log.ts';
import type { ClusterRun } from '../lib/run-file.ts';
import type { InstanceAddress } from './tcp-balancer.ts';

const restartMinMs = 1000;
const restartMaxMs = 30_000;
/** A process that ran for this time starts without a longer pause. */
const soundAfterMs = 10_000;
/** After this time without an end, a process that should stop is killed. */
const stopGraceMs = 30_000;

const targetSchema = z.object({ host: z.string(), port: z.int() });
const urlSchema = z.object({ url: z.string() });
/** What the commands that run services print when they are active. */
const readySchema = z.object({
  event: z.literal('ready'),
  metrics: urlSchema,
  mqtts: targetSchema.optional(),
  wss: targetSchema.optional(),
  https: urlSchema.optional(),
});
export type NodeReady = z.infer<typeof readySchema>;

export interface NodeProgram {
  readonly name: string;
  readonly folder: string;
  readonly kind: 'broker' | 'enrollment';
  /** The arguments of Node.js: the program of the command line, then its own. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
}

export interface NodeEvents {
  readonly log: Logger;
  /** A line of the process's log, as JSON. */
  logLine(line: string): void;
  /** The role, the process or the addresses are other ones. */
  changed(): void;
  /** The process is the active one now. */
  becameActive(node: ClusterNode): void;
}

export class ClusterNode {
  readonly name: string;
  readonly kind: NodeProgram['kind'];
  readonly #program: NodeProgram;
  readonly #events: NodeEvents;
  readonly #settled = Promise.withResolvers<undefined>();
  #process: ChildProcess | undefined;
  #role: ClusterRun['nodes'][number]['role'] = 'starting';
  #ready: NodeReady | undefined;
  #lastMessage = '';
  #pauseMs = restartMinMs;
  #isStopping = false;
  #cancelRestart: Cancel = () => undefined;

  constructor(program: NodeProgram, events: NodeEvents) {
    this.name = program.name;
    this.kind = program.kind;
    this.#program = program;
    this.#events = events;
    this.#settled.promise.catch(() => undefined);
  }

  get view(): ClusterRun['nodes'][number] {
    return { name: this.name, role: this.#role, pid: this.#process?.pid ?? null };
  }

  /** The addresses while it is active. */
  get ready(): NodeReady | undefined {
    return this.#ready;
  }

  /** The ports of its services; undefined while it is not active. */
  target(port: 'mqtts' | 'wss' | 'https' | 'metrics'): InstanceAddress | undefined {
    const address = this.#ready?.[port];
    if (address === undefined || !('url' in address)) return address;
    const url = new URL(address.url);
    return { host: url.hostname.replace(/^\[|\]$/g, ''), port: Number(url.port) };
  }

  /**
   * Starts the process. Resolves when it is active or a standby for the first time.
   *
   * @throws FlotillaError `cluster-node-failed` when it ended before
   */
  async start(): Promise<void> {
    this.#spawn();
    await this.#settled.promise;
  }

  /** Another process took over: this one hung, and will learn it from the database. */
  replaced(): void {
    if (this.#role === 'active') this.#become('replaced', undefined);
  }

  /** Says whether an active process still answers its checks. */
  answers(isAnswering: boolean): void {
    const [from, to] = isAnswering
      ? (['silent', 'active'] as const)
      : (['active', 'silent'] as const);
    if (this.#role === from) this.#become(to, this.#ready);
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    this.#cancelRestart();
    const child = this.#process;
    if (child === undefined) return;
    const ended = once(child, 'close');
    child.kill('SIGTERM');
    const cancel = systemClock.after(stopGraceMs, () => void child.kill('SIGKILL'));
    await ended;
    cancel();
  }

  #spawn(): void {
    const { args, env } = this.#program;
    const beganMs = systemClock.monotonicMs();
    const child = spawn(process.execPath, args, {
      env: { ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
      // Ctrl-C reaches the whole group of the terminal: the parent stops the processes in order.
      detached: true,
    });
    this.#process = child;
    this.#lastMessage = '';
    child.stdin.on('error', () => undefined);
    createInterface({ input: child.stdout }).on('line', (line) => this.#readResult(line));
    createInterface({ input: child.stderr }).on('line', (line) => this.#readMessage(line));
    child.once('error', (error) => (this.#lastMessage = error.message));
    child.once('close', (code, signal) => {
      const livedMs = systemClock.monotonicMs() - beganMs;
      this.#ended(signal ?? `code ${code ?? ''}`, livedMs);
    });
    this.#become('starting', undefined);
  }

  #ended(how: string, livedMs: number): void {
    const { log } = this.#events;
    const pid = this.#process?.pid;
    this.#process = undefined;
    this.#become('starting', undefined);
    this.#settled.reject(
      new FlotillaError('cluster-node-failed', {
        detail: `${this.#program.folder}: ${how}: ${this.#lastMessage}`,
      }),
    );
    if (this.#isStopping) return;
    const pauseMs = livedMs > soundAfterMs ? restartMinMs : this.#pauseMs;
    this.#pauseMs = Math.min(restartMaxMs, 2 * pauseMs);
    const fields = { node: this.name, pid, how, last: this.#lastMessage };
    log.warn(fields, 'a process of the cluster ended and is started again');
    this.#cancelRestart = systemClock.after(pauseMs, () => this.#spawn());
  }

  #readResult(line: string): void {
    const ready = readySchema.safeParse(parsed(line));
    if (!ready.success) return;
    this.#become('active', ready.data);
    this.#events.becameActive(this);
  }

  #readMessage(line: string): void {
    if (line.startsWith('{')) {
      this.#events.logLine(`{"node":${JSON.stringify(this.name)},${line.slice(1)}`);
      return;
    }
    if (line.startsWith('standby: ')) this.#become('standby', undefined);
    else this.#lastMessage = line.slice(0, 300);
  }

  #become(role: ClusterRun['nodes'][number]['role'], ready: NodeReady | undefined): void {
    const before = this.#role;
    this.#role = role;
    this.#ready = ready;
    if (role !== 'starting') this.#settled.resolve(undefined);
    const fields = { node: this.name, pid: this.#process?.pid };
    if (before === 'standby' && role === 'active') {
      this.#events.log.warn(fields, 'a standby has taken over');
    } else if (role === 'silent') {
      this.#events.log.warn(fields, 'a process of the cluster does not answer');
    } else if (before !== role && !this.#isStopping) {
      this.#events.log.info({ ...fields, role }, 'role of a process');
    }
    this.#events.changed();
  }
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
