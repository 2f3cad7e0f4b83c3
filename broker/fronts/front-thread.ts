/**
 * One front as the core sees it: its thread, its rings, and how busy it is.
 *
 * @module
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { FlotillaError, messageOf } from '../../core/errors/flotilla-error.ts';
import { workerModule } from '../../core/worker-module.ts';
import type {
  DeviceAddresses,
  DevicePortsOptions,
  PortMaterial,
} from '../listeners/device-ports.ts';
import type { FrontLoad } from '../contracts/front-load.ts';
import { Bell } from './doorbell.ts';
import { ringToCoreBytes, ringToFrontBytes } from './front-frames.ts';
import { FrontLink, type LinkDeps } from './front-link.ts';
import { loadMemory, readLoad } from './shared-load.ts';
import type { FrontCommand, FrontReport, FrontStart } from './front-messages.ts';
import { ringMemory, RingReceiver, RingSender } from './shared-ring.ts';

const workerUrl = workerModule('./front-worker', import.meta.url);
/** Most objects of a front live for one turn, so a larger young generation only costs memory. */
const youngMaxMb = 8;
/** How long a front may take to close its connections, in ms. */
const closeMaxMs = 2000;

export interface ThreadOptions {
  /** From 0. */
  readonly index: number;
  readonly ports: DevicePortsOptions;
  readonly material: PortMaterial;
  readonly proxies: readonly string[];
  readonly bells: SharedArrayBuffer;
  readonly poisons: boolean;
}

export class FrontThread {
  readonly link: FrontLink;
  /** Resolves when the thread has ended, with the reason if it failed. */
  readonly ended: Promise<string | undefined>;
  readonly #worker: Worker;
  readonly #load = loadMemory();
  readonly #report: Promise<FrontReport>;

  constructor(options: ThreadOptions, deps: LinkDeps) {
    const { index, ports, material, proxies, bells, poisons } = options;
    const toCore = ringMemory(ringToCoreBytes);
    const toFront = ringMemory(ringToFrontBytes);
    const bell = new Bell(bells, index + 1);
    this.link = new FrontLink(
      new RingSender(toFront, bell),
      new RingReceiver(toCore, bell, poisons),
      deps,
    );
    const start: FrontStart = {
      index,
      options: ports,
      material,
      proxies,
      bells,
      toCore,
      toFront,
      load: this.#load,
      poisons,
    };
    this.#worker = new Worker(workerUrl, {
      workerData: start,
      name: `front-${index + 1}`,
      resourceLimits: { maxYoungGenerationSizeMb: youngMaxMb },
    });
    const { promise, resolve } = Promise.withResolvers<FrontReport>();
    this.#report = promise;
    this.#worker.once('message', resolve);
    let reason: string | undefined;
    this.#worker.on('error', (error) => (reason = messageOf(error)));
    this.ended = once(this.#worker, 'exit').then(() => {
      resolve({ type: 'failed', code: 'start-failed', detail: reason ?? 'the front ended' });
      return reason;
    });
  }

  get load(): FrontLoad {
    return readLoad(this.#load);
  }

  /**
   * Resolves when the front listens.
   *
   * @throws FlotillaError `address-in-use`, `start-failed`
   */
  async listening(): Promise<DeviceAddresses> {
    const report = await this.#report;
    if (report.type === 'listening') return report.addresses;
    throw new FlotillaError(report.code, { detail: report.detail });
  }

  send(command: FrontCommand): void {
    this.#worker.postMessage(command);
  }

  /** Closes the ports and all connections, and ends the thread. */
  async close(): Promise<void> {
    this.send({ type: 'close' });
    const timer = setTimeout(() => void this.#worker.terminate(), closeMaxMs);
    await this.ended;
    clearTimeout(timer);
    this.link.end();
  }

  /** Ends the thread at once, as a fault in it would. */
  async terminate(): Promise<void> {
    await this.#worker.terminate();
  }
}
