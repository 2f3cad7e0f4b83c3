/**
 * `node bench/core-bench.ts`: how many messages the core thread can handle when fronts do everything else. 10,000
 * clients send and receive one message at a time through the rings of a front; there are no sockets and no TLS. The
 * session layer is the real one, with the memory store. Options: `--clients 10000`, `--qos 0,1`, `--payload 100`,
 * `--seconds 5`.
 *
 * Prints the CPU time of the core thread per pair (one message in, one out), and what follows for a saturated core.
 *
 * @module
 */
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { bellMemory, Bell, coreThread, DrainLoop } from '../broker/fronts/doorbell.ts';
import { ringToCoreBytes, ringToFrontBytes } from '../broker/fronts/front-frames.ts';
import { FrontLink } from '../broker/fronts/front-link.ts';
import { drainLinks } from '../broker/fronts/front-ports.ts';
import { ringMemory, RingReceiver, RingSender } from '../broker/fronts/shared-ring.ts';
import { openMemoryStore } from '../broker/store/memory-store.ts';
import { workerModule } from '../core/worker-module.ts';
import { benchStoreOptions, openBenchLayer } from './bench-session-layer.ts';
import type { FrameSourceReport, FrameSourceStart } from './core/frame-source-messages.ts';
import { threadTimes } from './process-usage.ts';
import { uncheckedIdentity } from './unchecked-identity.ts';

const warmUpMs = 2000;
const runMaxMs = 300_000;

const { values } = parseArgs({
  options: {
    clients: { type: 'string', default: '10000' },
    qos: { type: 'string', default: '0,1' },
    payload: { type: 'string', default: '100' },
    seconds: { type: 'string', default: '5' },
  },
});

for (const qos of values.qos.split(',').map((one) => (one === '1' ? 1 : 0))) {
  const { us, delivered, share } = await measure(qos);
  const perPair = us / delivered;
  process.stdout.write(
    `QoS ${qos}, ${values.clients} clients: ${perPair.toFixed(2)} µs of the core thread per pair, ${Math.round(1e6 / perPair)} pairs/s when it is saturated (${delivered} pairs measured, core ${share.toFixed(0)} %)\n`,
  );
}

interface CoreResult {
  /** CPU time of the core thread. */
  readonly us: number;
  readonly delivered: number;
  /** CPU time of the core thread per second, in %. */
  readonly share: number;
}

async function measure(qos: 0 | 1): Promise<CoreResult> {
  const store = openMemoryStore(benchStoreOptions);
  const layer = await openBenchLayer(store);
  const bells = bellMemory(1);
  const toCore = ringMemory(ringToCoreBytes);
  const toFront = ringMemory(ringToFrontBytes);
  const bell = new Bell(bells, 1);
  const ignore = (): void => undefined;
  const link = new FrontLink(new RingSender(toFront, bell), new RingReceiver(toCore, bell, false), {
    admitter: {
      admit: ({ certificate }) =>
        certificate?.commonName.ok === true
          ? uncheckedIdentity(certificate.commonName.id)
          : undefined,
      accept: (wire, identity) => void layer.accept(wire, identity),
      acceptUpgraded: ignore,
      release: ignore,
    },
    quota: { offer: () => undefined, admitted: ignore },
    events: { handshake: ignore, handshakeFailed: ignore },
    upgradeEvents: { refused: ignore },
    isAuthority: () => true,
  });
  const loop = new DrainLoop(bells, coreThread, {
    isEmpty: () => !layer.scheduler.isBehind && link.isEmpty,
    drain: () => drainLinks([link], layer.scheduler),
  });
  loop.start();
  const start: FrameSourceStart = {
    bells,
    toCore,
    toFront,
    clients: Number(values.clients),
    qos,
    payloadBytes: Number(values.payload),
    warmUpMs,
    measureMs: Number(values.seconds) * 1000,
  };
  const worker = new Worker(workerModule('./core/frame-source-worker', import.meta.url), {
    workerData: start,
  });
  try {
    return await resultOf(worker);
  } finally {
    loop.stop();
    await worker.terminate();
    link.end();
    await layer.close();
    await store.close();
  }
}

function resultOf(worker: Worker): Promise<CoreResult> {
  return new Promise((resolve, reject) => {
    let from = { us: 0, ms: 0 };
    const timer = setTimeout(() => reject(new Error('the run takes too long')), runMaxMs);
    worker.once('error', reject);
    worker.on('message', (report: FrameSourceReport) => {
      const us = threadTimes(process.pid).core;
      const ms = performance.now();
      if (report.type === 'measuring') {
        from = { us, ms };
        return;
      }
      clearTimeout(timer);
      const used = us - from.us;
      resolve({ us: used, delivered: report.delivered, share: used / (ms - from.ms) / 10 });
    });
  });
}
