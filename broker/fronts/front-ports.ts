/**
 * The ports for devices, with TLS in several threads ("fronts") that listen on the same ports; the kernel
 * distributes new connections. A front that ends takes only its own connections with it, and is started
 * again.
 *
 * @module
 */
import { randomBytes, X509Certificate } from 'node:crypto';
import { createServer } from 'node:net';
import { createSecureContext } from 'node:tls';
import type { Cancel } from '../../core/clock.ts';
import { FlotillaError, messageOf } from '../../core/errors/flotilla-error.ts';
import { listenError } from '../../core/errors/listen-error.ts';
import type { Logger } from '../../core/log.ts';
import { serverTlsOptions } from '../../core/server-tls.ts';
import { keyPairsOf, type TlsMaterial } from '../certificates/tls-material.ts';
import type { LayerTurn } from '../contracts/broker-layer.ts';
import type { FrontLoad } from '../contracts/front-load.ts';
import type {
  DeviceAddresses,
  DevicePortsOptions,
  PortMaterial,
  PortName,
} from '../listeners/device-ports.ts';
import { portsOptions, type BrokerPorts, type EntranceDeps } from '../listeners/entrance.ts';
import { bellMemory, coreThread, DrainLoop } from './doorbell.ts';
import { idleLoad } from './shared-load.ts';
import type { FrontLink } from './front-link.ts';
import { FrontThread } from './front-thread.ts';

export interface FrontPortsDeps extends EntranceDeps {
  /** How many fronts. */
  readonly count: number;
  readonly log: Logger;
  readonly turn: LayerTurn;
  /** Whether released memory of the rings is overwritten, for tests. */
  readonly poisons: boolean;
}

/** The pause before a front that ended is started again, in ms; it doubles while fronts end at once. */
const restartMinMs = 50;
const restartMaxMs = 800;
/** A front that ran for so long did not end at once. */
const steadyMs = 10_000;
const ticketKeyBytes = 48;

export class FrontPorts implements BrokerPorts {
  frontRestarts = 0;
  readonly #deps: FrontPortsDeps;
  readonly #bells: SharedArrayBuffer;
  readonly #loop: DrainLoop;
  /** The fronts by their index; undefined while one is started again. */
  readonly #threads: (FrontThread | undefined)[];
  readonly #restarting = new Set<Cancel>();
  #options: DevicePortsOptions;
  #material: PortMaterial;
  /** The fingerprints of the CA certificates in force. */
  #authorities: ReadonlySet<string>;
  #listening = false;
  #stopped = false;
  #restartMs = restartMinMs;

  constructor(deps: FrontPortsDeps) {
    this.#deps = deps;
    this.#bells = bellMemory(deps.count);
    this.#threads = new Array<undefined>(deps.count).fill(undefined);
    this.#options = portsOptions(deps.config, true);
    this.#material = withTicketKeys(deps.material);
    this.#authorities = fingerprintsOf(deps.material);
    const running = (): FrontThread[] => this.#threads.filter((one) => one !== undefined);
    this.#loop = new DrainLoop(this.#bells, coreThread, {
      isEmpty: () => !deps.turn.isBehind && running().every(({ link }) => link.isEmpty),
      drain() {
        drainLinks(
          running().map(({ link }) => link),
          deps.turn,
        );
      },
    });
  }

  get listening(): boolean {
    return this.#listening;
  }

  get fronts(): readonly FrontLoad[] {
    return this.#threads.map((thread) => thread?.load ?? idleLoad);
  }

  get frontsRunning(): number {
    return this.#threads.filter((thread) => thread !== undefined).length;
  }

  async listen(): Promise<DeviceAddresses> {
    const { host, mqttsPort, wssPort } = this.#options;
    for (const port of [mqttsPort, wssPort]) if (port !== 0) await assertFree(host, port);
    this.#loop.start();
    // The first front chooses the ports if they may be any.
    const addresses = await this.#start(0).listening();
    this.#options = {
      ...this.#options,
      mqttsPort: addresses.mqtts.port,
      wssPort: addresses.wss.port,
    };
    const others = this.#threads.slice(1).map((_, at) => this.#start(at + 1).listening());
    await Promise.all(others);
    this.#listening = true;
    return addresses;
  }

  replaceMaterial(material: TlsMaterial): void {
    const { authorities } = material;
    // Each front does the same later: what OpenSSL rejects must not get there.
    createSecureContext({ ...serverTlsOptions(...keyPairsOf(material)), ca: [...authorities] });
    this.#authorities = fingerprintsOf(material);
    this.#material = withTicketKeys(material);
    for (const thread of this.#threads) {
      thread?.send({ type: 'material', material: this.#material });
    }
  }

  settingsChanged(): void {
    const { proxies } = this.#deps.config;
    for (const thread of this.#threads) thread?.send({ type: 'proxies', proxies });
  }

  stopListening(): void {
    this.#listening = false;
    this.#stopped = true;
    for (const cancel of this.#restarting) cancel();
    this.#restarting.clear();
    this.#deps.quota.close();
    for (const thread of this.#threads) thread?.send({ type: 'stop-listening' });
  }

  async close(): Promise<void> {
    this.stopListening();
    await Promise.all(this.#threads.map((thread) => thread?.close() ?? Promise.resolve()));
    this.#loop.stop();
  }

  /** Ends a front as a fault in it would. */
  async terminate(index: number): Promise<void> {
    await this.#threads[index]?.terminate();
  }

  #start(index: number): FrontThread {
    const thread = new FrontThread(
      {
        index,
        ports: this.#options,
        material: this.#material,
        proxies: this.#deps.config.proxies,
        bells: this.#bells,
        poisons: this.#deps.poisons,
      },
      { ...this.#deps, isAuthority: (fingerprint) => this.#authorities.has(fingerprint) },
    );
    this.#threads[index] = thread;
    const startedMs = this.#deps.clock.monotonicMs();
    void thread.ended.then((reason) => this.#ended(index, thread, startedMs, reason));
    return thread;
  }

  #ended(index: number, thread: FrontThread, startedMs: number, reason: string | undefined): void {
    const { clock, log } = this.#deps;
    thread.link.end();
    this.#threads[index] = undefined;
    if (this.#stopped || !this.#listening) return;
    const ranMs = clock.monotonicMs() - startedMs;
    const error = new FlotillaError('front-ended', { detail: reason ?? 'without a reason' });
    log.error({ err: error, code: error.code, front: index + 1, ranMs }, 'a front ended');
    this.#restartMs =
      ranMs >= steadyMs ? restartMinMs : Math.min(2 * this.#restartMs, restartMaxMs);
    const cancel = clock.after(this.#restartMs, () => {
      this.#restarting.delete(cancel);
      this.frontRestarts++;
      // If it cannot listen, it is closed and started again.
      const next = this.#start(index);
      next.listening().catch((failure: unknown) => {
        log.error({ front: index + 1, detail: messageOf(failure) }, 'a front could not listen');
        void next.terminate();
      });
    });
    this.#restarting.add(cancel);
  }
}

/**
 * One turn of the core. What is written refers to the memory of the frames, so that nothing more is received
 * and no memory is freed until all of it was written.
 */
export function drainLinks(
  links: readonly Pick<FrontLink, 'receive' | 'send' | 'release'>[],
  turn: LayerTurn,
): void {
  turn.hold();
  if (!turn.isBehind) for (const link of links) link.receive();
  turn.flush();
  for (const link of links) {
    link.send();
    if (!turn.isBehind) link.release();
  }
}

function fingerprintsOf({ authorities }: TlsMaterial): ReadonlySet<string> {
  return new Set(authorities.map((pem) => new X509Certificate(pem).fingerprint256));
}

/** Each port has keys of its own, which its listeners in all fronts share. */
function withTicketKeys({ sharedTicketKeys, ...material }: TlsMaterial): PortMaterial {
  const keys = (port: PortName): Uint8Array =>
    sharedTicketKeys?.(port) ?? randomBytes(ticketKeyBytes);
  return {
    mqtts: { ...material, ticketKeys: keys('mqtts') },
    wss: { ...material, ticketKeys: keys('wss') },
  };
}

/**
 * Fronts share their port with any process of the same user that allows it, such as a second broker. So
 * the port must be free before the first front listens.
 *
 * @throws FlotillaError `address-in-use`, `start-failed`
 */
function assertFree(host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error) => reject(listenError(host, port, error)));
    server.listen({ host, port }, () => server.close(() => resolve()));
  });
}
