/**
 * The workers of a run as the controller sees them: which worker carries which device, and calls to
 * them.
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

/** The connection to one worker. */
export interface Channel {
  readonly label: string;
  send(message: CallMessage): void;
  /** Ends the worker immediately, without disconnecting its devices. */
  kill(): void;
}

/** Events of a channel. */
export interface ChannelEvents {
  readonly message: (message: WorkerMessage) => void;
  readonly ended: (reason: string) => void;
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
      ended: (reason) => {
        if (this.#endReason !== undefined) return;
        this.#endReason = reason;
        const error = new FlotillaError('sim-worker-failed', {
          detail: `${this.channel.label}: ${reason}`,
        });
        for (const { reject } of this.#pendingCalls.values()) reject(error);
        this.#pendingCalls.clear();
        if (!this.#exitExpected) onLost(error);
      },
    });
  }

  /** Calls the worker. @throws FlotillaError the error of the call, or `sim-worker-failed` */
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
      // Workers reply with the result type of the call.
      this.#pendingCalls.set(call, { resolve: (result) => resolve(result as ResultOf<K>), reject });
      this.channel.send({ call, name, params });
    });
  }

  /** Gives up a worker that does not answer. */
  abandon(reason: string): void {
    this.#endReason ??= reason;
    this.#exitExpected = true;
  }

  /** From now on, the end of the worker is not an error. */
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

/** All workers: those that carry devices, and those that only run observers. */
export class WorkerPool {
  readonly deviceWorkers: readonly WorkerHandle[];
  /** The same number per broker: the first observer of each broker, then the second, and so on. */
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
    if (worker === undefined) throw new RangeError('there is no worker');
    return worker;
  }

  /** Groups devices by worker; `places` are their indexes in the given list. */
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

  /** Sends commands, each from an observer of the device's broker. Needs observers. */
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

  /** Asks all workers to disconnect their devices and stop; kills them after `graceMs`. */
  shutDown(graceMs: number): Promise<void> {
    return (this.#shuttingDown ??= this.#shutDown(graceMs));
  }

  async #shutDown(graceMs: number): Promise<void> {
    const workers = this.all();
    for (const worker of workers) worker.expectExit();
    const closing = Promise.allSettled(workers.map((worker) => worker.call('close', {})));
    let timer: NodeJS.Timeout | undefined;
    await Promise.race([
      closing,
      new Promise((resolve) => {
        timer = setTimeout(resolve, graceMs);
      }),
    ]);
    clearTimeout(timer);
    for (const worker of workers) worker.channel.kill();
  }
}

/**
 * Settings of glibc's allocator in a worker. It returns the memory of finished handshakes, and the
 * 64 KB read buffer of each TLS connection becomes a mapping of its own, of which only one page is
 * used: 3,000 light devices took 77 KB each with the first two settings only, and 62 KB with all.
 * The environment of the controller overrides them.
 */
const workerMallocEnv = {
  MALLOC_ARENA_MAX: '1',
  MALLOC_TRIM_THRESHOLD_: '65536',
  MALLOC_MMAP_THRESHOLD_: '8192',
  // Otherwise two of three buffers are taken from memory that was requested in advance.
  MALLOC_TOP_PAD_: '0',
  // Below the kernel's limit on mappings of a process (65,530).
  MALLOC_MMAP_MAX_: '60000',
};

/** A channel to a worker in a process of its own. */
export function forkedChannel(label: string): OpenChannel {
  return ({ message, ended }) => {
    const entry = new URL(`./worker-process${extname(import.meta.filename)}`, import.meta.url);
    const child: ChildProcess = fork(entry, {
      // A small young generation keeps the worker's own memory small beside that of its devices.
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

/** A channel to a worker in this process, for small fleets in tests. */
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
