/**
 * The workers of a run, as the controller sees them: who carries which device, calls to them, and
 * what they tell.
 *
 * @module
 */
import { fork, type ChildProcess } from 'node:child_process';
import { extname } from 'node:path';
import { isErrorCode } from '../../core/errors/catalogue.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { brokerIndexOf } from '../fleet/broker-choice.ts';
import { LinkError } from '../device/link.ts';
import { handleCall } from './answer.ts';
import type { CallMessage, CallName, ParamsOf, ResultOf, Tick, WorkerMessage } from './protocol.ts';
import { Worker } from './worker.ts';

/** One way to a worker. */
export interface Channel {
  readonly label: string;
  send(message: CallMessage): void;
  /** Ends it at once, without goodbyes. */
  kill(): void;
}

/** What a way to a worker tells the crew. */
export interface ChannelEvents {
  readonly message: (message: WorkerMessage) => void;
  readonly ended: (why: string) => void;
}

export type OpenChannel = (events: ChannelEvents) => Channel;

interface PendingCall {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** A worker that can be called. */
export class WorkerHandle {
  readonly channel: Channel;
  readonly #pendingCalls = new Map<number, PendingCall>();
  #lastCall = 0;
  #endReason: string | undefined;
  #exitExpected = false;

  constructor(open: OpenChannel, onTick: (tick: Tick) => void, onLost: (error: Error) => void) {
    this.channel = open({
      message: (message) => {
        if (message.kind === 'tick') onTick(message.tick);
        else this.#settleCall(message);
      },
      ended: (why) => {
        if (this.#endReason !== undefined) return;
        this.#endReason = why;
        const error = new FlotillaError('sim-worker-failed', {
          detail: `${this.channel.label}: ${why}`,
        });
        for (const { reject } of this.#pendingCalls.values()) reject(error);
        this.#pendingCalls.clear();
        if (!this.#exitExpected) onLost(error);
      },
    });
  }

  /** Calls a worker. @throws FlotillaError what the call throws, or `sim-worker-failed` */
  call<K extends CallName>(name: K, params: ParamsOf<K>): Promise<ResultOf<K>> {
    if (this.#endReason !== undefined) {
      return Promise.reject(
        new FlotillaError('sim-worker-failed', {
          detail: `${this.channel.label}: ${this.#endReason}`,
        }),
      );
    }
    return new Promise((resolve, reject) => {
      const call = ++this.#lastCall;
      // The result has the type of the call that it answers.
      this.#pendingCalls.set(call, { resolve: (result) => resolve(result as ResultOf<K>), reject });
      this.channel.send({ call, name, params });
    });
  }

  /** It does not answer: nobody waits for it any more. */
  abandon(why: string): void {
    this.#endReason ??= why;
    this.#exitExpected = true;
  }

  /** From now on its end is no surprise. */
  expectExit(): void {
    this.#exitExpected = true;
  }

  #settleCall(message: Exclude<WorkerMessage, { kind: 'tick' }>): void {
    const waiting = this.#pendingCalls.get(message.call);
    if (waiting === undefined) return;
    this.#pendingCalls.delete(message.call);
    if (message.kind === 'result') waiting.resolve(message.result);
    else waiting.reject(errorOf(message.code, message.message));
  }
}

function errorOf(code: string, detail: string): Error {
  if (code.startsWith('link:')) return new LinkError({ reason: code.slice(5), detail });
  return new FlotillaError(isErrorCode(code) ? code : 'sim-worker-failed', { detail });
}

/** All workers: those that carry devices, and those that only observe. */
export class WorkerPool {
  readonly deviceWorkers: readonly WorkerHandle[];
  /** Of several brokers each has as many: the first of each, then the second, and so on. */
  readonly observers: readonly WorkerHandle[];
  readonly #brokers: number;
  #shuttingDown: Promise<void> | undefined;

  constructor(
    deviceWorkers: readonly WorkerHandle[],
    observers: readonly WorkerHandle[],
    brokers = 1,
  ) {
    this.#brokers = brokers;
    this.deviceWorkers = deviceWorkers;
    this.observers = observers;
  }

  /** Each worker once. */
  all(): WorkerHandle[] {
    return [...new Set([...this.deviceWorkers, ...this.observers])];
  }

  /** The worker that carries a device. */
  workerOf(device: number): WorkerHandle {
    const worker = this.deviceWorkers[device % this.deviceWorkers.length];
    if (worker === undefined) throw new RangeError('a crew without workers');
    return worker;
  }

  /** Devices by the worker that carries them, with the place of each in the list. */
  shares(
    devices: readonly number[],
  ): { worker: WorkerHandle; devices: number[]; places: number[] }[] {
    const shares = new Map<
      WorkerHandle,
      { worker: WorkerHandle; devices: number[]; places: number[] }
    >();
    for (const [place, device] of devices.entries()) {
      const worker = this.workerOf(device);
      let share = shares.get(worker);
      if (share === undefined) shares.set(worker, (share = { worker, devices: [], places: [] }));
      share.devices.push(device);
      share.places.push(place);
    }
    return [...shares.values()];
  }

  /** Sends commands, each from an observer at the broker of its device. Needs observers. */
  async command(params: ParamsOf<'command'>): Promise<void> {
    await Promise.all(
      this.observers.slice(0, this.#brokers).map((worker, broker) =>
        worker.call('command', {
          ...params,
          commands: params.commands.filter(
            ({ device }) => brokerIndexOf(device, this.#brokers) === broker,
          ),
        }),
      ),
    );
  }

  /** Calls every worker. */
  callAll<K extends CallName>(name: K, params: ParamsOf<K>): Promise<ResultOf<K>[]> {
    return Promise.all(this.all().map((worker) => worker.call(name, params)));
  }

  /** Lets everybody say goodbye, at most so long; then ends them. */
  shutDown(graceMs: number): Promise<void> {
    return (this.#shuttingDown ??= this.#shutDown(graceMs));
  }

  async #shutDown(graceMs: number): Promise<void> {
    const hands = this.all();
    for (const worker of hands) worker.expectExit();
    const goodbyes = Promise.allSettled(hands.map((worker) => worker.call('close', {})));
    let timer: NodeJS.Timeout | undefined;
    await Promise.race([
      goodbyes,
      new Promise((resolve) => {
        timer = setTimeout(resolve, graceMs);
      }),
    ]);
    clearTimeout(timer);
    for (const worker of hands) worker.channel.kill();
  }
}

/**
 * What glibc is told in a worker. It gives freed memory of handshakes back, and the read buffer of
 * 64 KB that Node gives each TLS connection becomes a mapping of its own, of which one page is ever
 * touched: 3,000 light devices took 77 KB each without all of this but the first two, and 62 KB with it.
 * The environment of the controller goes first, for those who want to try others.
 */
const workerMallocEnv = {
  MALLOC_ARENA_MAX: '1',
  MALLOC_TRIM_THRESHOLD_: '65536',
  MALLOC_MMAP_THRESHOLD_: '8192',
  // Without this, two buffers in three fit into what was asked for in advance.
  MALLOC_TOP_PAD_: '0',
  // Below the kernel's limit on mappings of a process (65,530).
  MALLOC_MMAP_MAX_: '60000',
};

/** A worker in a process of its own. */
export function forkedChannel(label: string): OpenChannel {
  return ({ message, ended }) => {
    const entry = new URL(`./worker-process${extname(import.meta.filename)}`, import.meta.url);
    const child: ChildProcess = fork(entry, {
      // A small young generation: a worker's own memory must not hide that of its devices.
      execArgv: ['--max-semi-space-size=2', '--expose-gc'],
      env: { ...workerMallocEnv, ...process.env },
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    child.on('message', (received) => message(received as WorkerMessage));
    child.on('error', (error) => ended(error.message));
    child.on('exit', (code, signal) => ended(signal === null ? `exit code ${code ?? 0}` : signal));
    return {
      label,
      send: (call) => {
        if (child.connected) child.send(call);
      },
      kill: () => child.kill('SIGKILL'),
    };
  };
}

/** A worker inside this process, for small fleets in tests. */
export function localChannel(label: string): OpenChannel {
  return ({ message }) => {
    const worker = new Worker((tick) => message({ kind: 'tick', tick }));
    return {
      label,
      send: (call) => void handleCall(worker, call).then(message),
      kill: () => void worker.close(),
    };
  };
}
