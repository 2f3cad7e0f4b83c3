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

interface Waiting {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** A worker that can be called. */
export class WorkerHandle {
  readonly port: Channel;
  readonly #waiting = new Map<number, Waiting>();
  #lastCall = 0;
  #ended: string | undefined;
  #dismissed = false;

  constructor(open: OpenChannel, onTick: (tick: Tick) => void, onLost: (error: Error) => void) {
    this.port = open({
      message: (message) => {
        if (message.kind === 'tick') onTick(message.tick);
        else this.#answer(message);
      },
      ended: (why) => {
        if (this.#ended !== undefined) return;
        this.#ended = why;
        const error = new FlotillaError('sim-worker-failed', {
          detail: `${this.port.label}: ${why}`,
        });
        for (const { reject } of this.#waiting.values()) reject(error);
        this.#waiting.clear();
        if (!this.#dismissed) onLost(error);
      },
    });
  }

  /** Calls a worker. @throws FlotillaError what the call throws, or `sim-worker-failed` */
  call<K extends CallName>(name: K, params: ParamsOf<K>): Promise<ResultOf<K>> {
    if (this.#ended !== undefined) {
      return Promise.reject(
        new FlotillaError('sim-worker-failed', { detail: `${this.port.label}: ${this.#ended}` }),
      );
    }
    return new Promise((resolve, reject) => {
      const call = ++this.#lastCall;
      // The result has the type of the call that it answers.
      this.#waiting.set(call, { resolve: (result) => resolve(result as ResultOf<K>), reject });
      this.port.send({ call, name, params });
    });
  }

  /** It does not answer: nobody waits for it any more. */
  giveUp(why: string): void {
    this.#ended ??= why;
    this.#dismissed = true;
  }

  /** From now on its end is no surprise. */
  dismiss(): void {
    this.#dismissed = true;
  }

  #answer(message: Exclude<WorkerMessage, { kind: 'tick' }>): void {
    const waiting = this.#waiting.get(message.call);
    if (waiting === undefined) return;
    this.#waiting.delete(message.call);
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
  readonly carriers: readonly WorkerHandle[];
  /** Of several brokers each has as many: the first of each, then the second, and so on. */
  readonly observers: readonly WorkerHandle[];
  readonly #brokers: number;
  #dismissal: Promise<void> | undefined;

  constructor(carriers: readonly WorkerHandle[], observers: readonly WorkerHandle[], brokers = 1) {
    this.#brokers = brokers;
    this.carriers = carriers;
    this.observers = observers;
  }

  /** Each worker once. */
  all(): WorkerHandle[] {
    return [...new Set([...this.carriers, ...this.observers])];
  }

  /** The worker that carries a device. */
  of(device: number): WorkerHandle {
    const hand = this.carriers[device % this.carriers.length];
    if (hand === undefined) throw new RangeError('a crew without workers');
    return hand;
  }

  /** Devices by the worker that carries them, with the place of each in the list. */
  shares(
    devices: readonly number[],
  ): { hand: WorkerHandle; devices: number[]; places: number[] }[] {
    const shares = new Map<
      WorkerHandle,
      { hand: WorkerHandle; devices: number[]; places: number[] }
    >();
    for (const [place, device] of devices.entries()) {
      const hand = this.of(device);
      let share = shares.get(hand);
      if (share === undefined) shares.set(hand, (share = { hand, devices: [], places: [] }));
      share.devices.push(device);
      share.places.push(place);
    }
    return [...shares.values()];
  }

  /** Sends commands, each from an observer at the broker of its device. Needs observers. */
  async command(params: ParamsOf<'command'>): Promise<void> {
    await Promise.all(
      this.observers.slice(0, this.#brokers).map((hand, broker) =>
        hand.call('command', {
          ...params,
          commands: params.commands.filter(
            ({ device }) => brokerIndexOf(device, this.#brokers) === broker,
          ),
        }),
      ),
    );
  }

  /** Calls every worker. */
  everyone<K extends CallName>(name: K, params: ParamsOf<K>): Promise<ResultOf<K>[]> {
    return Promise.all(this.all().map((hand) => hand.call(name, params)));
  }

  /** Lets everybody say goodbye, at most so long; then ends them. */
  dismiss(graceMs: number): Promise<void> {
    return (this.#dismissal ??= this.#dismiss(graceMs));
  }

  async #dismiss(graceMs: number): Promise<void> {
    const hands = this.all();
    for (const hand of hands) hand.dismiss();
    const goodbyes = Promise.allSettled(hands.map((hand) => hand.call('close', {})));
    let timer: NodeJS.Timeout | undefined;
    await Promise.race([
      goodbyes,
      new Promise((resolve) => {
        timer = setTimeout(resolve, graceMs);
      }),
    ]);
    clearTimeout(timer);
    for (const hand of hands) hand.port.kill();
  }
}

/**
 * What glibc is told in a worker. It gives freed memory of handshakes back, and the read buffer of
 * 64 KB that Node gives each TLS connection becomes a mapping of its own, of which one page is ever
 * touched: 3,000 light devices took 77 KB each without all of this but the first two, and 62 KB with it.
 * The environment of the controller goes first, for those who want to try others.
 */
const carrierMemory = {
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
      env: { ...carrierMemory, ...process.env },
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
