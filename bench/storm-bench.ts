/**
 * A reconnect storm: all devices connect at the same time, with full handshakes and with resumed TLS
 * sessions, to Flotilla and to Mosquitto.
 *
 * Run: `node bench/storm-bench.ts [--devices 5000] [--brokers flotilla,flotilla-2,mosquitto] [--peer
 * flashmq=PATH]`. The clients run in this process and use one complete core. CPU times are those of the
 * core thread, of all fronts, and of all other threads.
 *
 * @module
 */
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { connect, type SecureContext, type TLSSocket } from 'node:tls';
import { writeBenchState } from './bench-state.ts';
import { isOwn, startBenchBroker, type BenchBroker } from './brokers.ts';
import { clientContext, makeCertificates } from './certificates.ts';
import { connectFrame } from './load/frames.ts';
import { peersOf } from './peers.ts';
import { threadTimes, type ThreadTimes } from './process-usage.ts';

const { values } = parseArgs({
  options: {
    devices: { type: 'string', default: '5000' },
    brokers: { type: 'string', default: 'flotilla,flotilla-2,mosquitto' },
    peer: { type: 'string', multiple: true, default: [] },
  },
});
const count = Number(values.devices);
/** How long a device waits for CONNACK before it retries. */
const connackMaxMs = 10_000;
const backoffMs = 1000;

interface Device {
  readonly id: string;
  readonly context: SecureContext;
  socket?: TLSSocket;
  session?: Buffer;
}

interface Storm {
  readonly allBackMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly retries: number;
  readonly resumed: number;
  readonly brokerCpuMs: ThreadTimes;
  readonly clientCpuMs: number;
}

const printLine = (line: string): void => void process.stdout.write(`${line}\n`);
const names = Array.from({ length: count }, (_, index) => `device-${index}`);
const certificates = await makeCertificates(names);
await writeBenchState(certificates);
const devices: Device[] = names.map((id) => ({
  id,
  context: clientContext(certificates.ca, certificates.clients.get(id)!),
}));

const peers = peersOf(values.peer);
for (const name of values.brokers.split(',')) {
  if (!isOwn(name) && !peers.some((peer) => peer.name === name)) continue;
  const broker = await startBenchBroker(name, certificates, 0, peers);
  try {
    printLine(`${name} ${broker.version}, ${count} devices`);
    await connectAll(broker, devices);
    for (const resume of [false, true]) {
      for (const device of devices) device.socket?.destroy();
      await delay(2000);
      const storm = await run(broker, devices, resume);
      printLine(
        `  ${resume ? 'resumed sessions ' : 'full handshakes  '}: ${JSON.stringify(storm)}`,
      );
    }
  } finally {
    for (const device of devices) {
      device.socket?.destroy();
      delete device.session;
    }
    await broker.stop();
  }
}
await certificates.remove();

/** Connects all devices, a few at a time. */
async function connectAll(broker: BenchBroker, all: readonly Device[]): Promise<void> {
  let next = 0;
  await Promise.all(
    Array.from({ length: 32 }, async () => {
      for (let device = all[next++]; device !== undefined; device = all[next++]) {
        await connectOnce(broker, device, false);
      }
    }),
  );
}

async function run(broker: BenchBroker, all: readonly Device[], resume: boolean): Promise<Storm> {
  const cpuBefore = threadTimes(broker.pid);
  const ownBefore = process.cpuUsage();
  const beganMs = performance.now();
  let retries = 0;
  let resumed = 0;
  const tookMs = await Promise.all(
    all.map(async (device) => {
      for (let tries = 0; ; tries++) {
        try {
          if (await connectOnce(broker, device, resume)) resumed++;
          return performance.now() - beganMs;
        } catch {
          retries++;
          await delay(backoffMs * Math.min(8, 2 ** tries) * (0.5 + Math.random() / 2));
        }
      }
    }),
  );
  tookMs.sort((a, b) => a - b);
  const at = (share: number): number => Math.round(tookMs[Math.floor((count - 1) * share)] ?? NaN);
  const own = process.cpuUsage(ownBefore);
  return {
    allBackMs: at(1),
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    retries,
    resumed,
    brokerCpuMs: since(cpuBefore, threadTimes(broker.pid)),
    clientCpuMs: Math.round((own.user + own.system) / 1000),
  };
}

function since(before: ThreadTimes, after: ThreadTimes): ThreadTimes {
  const ms = (part: keyof ThreadTimes): number => Math.round((after[part] - before[part]) / 1000);
  return { core: ms('core'), fronts: ms('fronts'), others: ms('others') };
}

/** Connects and waits for CONNACK. @returns whether the TLS session was resumed */
function connectOnce(broker: BenchBroker, device: Device, resume: boolean): Promise<boolean> {
  const { session } = device;
  const socket = connect({
    ...broker.target,
    secureContext: device.context,
    servername: 'localhost',
    ...(resume && session !== undefined ? { session } : {}),
  });
  device.socket = socket;
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => socket.destroy(), connackMaxMs);
    socket.on('session', (ticket: Buffer) => (device.session = ticket));
    socket.on('error', () => undefined);
    socket.once('close', () => {
      clearTimeout(timer);
      reject(new Error('closed'));
    });
    socket.once('data', () => {
      clearTimeout(timer);
      resolve(socket.isSessionReused());
    });
    socket.write(connectFrame(device.id));
  });
}
