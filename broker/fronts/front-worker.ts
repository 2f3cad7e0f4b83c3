/**
 * A front: a thread that listens on the ports for devices together with the others, and does TCP, TLS and
 * WebSocket for its connections. The core decides about each connection and speaks MQTT with it.
 *
 * @module
 */
import { X509Certificate } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';
import { systemClock } from '../../core/clock.ts';
import { FlotillaError, messageOf } from '../../core/errors/flotilla-error.ts';
import { DevicePorts, type PortMaterial } from '../listeners/device-ports.ts';
import { HandshakeGate } from '../listeners/handshake-gate.ts';
import { Bell, coreThread, DrainLoop } from './doorbell.ts';
import { FrontConnections } from './front-connections.ts';
import type { HandshakeFailure } from './front-facts.ts';
import { drainMaxBytes, fromFront, toFront } from './front-frames.ts';
import { FrontHandshakes } from './front-handshakes.ts';
import { writeLoad } from './shared-load.ts';
import type { FrontCommand, FrontReport, FrontStart } from './front-messages.ts';
import { FrontOutbox } from './front-outbox.ts';
import { RingReceiver, RingSender } from './shared-ring.ts';

const loadIntervalMs = 100;

if (parentPort === null) throw new Error('a front is a worker thread');
const parent = parentPort;
// The core passes it to the thread.
const start = workerData as FrontStart;
const clock = systemClock;
const bell = new Bell(start.bells, coreThread);
const outbox = new FrontOutbox(new RingSender(start.toCore, bell));
const receiver = new RingReceiver(start.toFront, bell, start.poisons);
const handshakes = new FrontHandshakes(outbox);
let { proxies } = start;
let authorities = authoritiesOf(start.material);
let handshakeCount = 0;
const events = {
  handshakeFailed(...[remoteAddress, code, detail]: Parameters<typeof failureOf>): void {
    outbox.send(fromFront.failed, 0, JSON.stringify(failureOf(remoteAddress, code, detail)));
  },
};
const ports: DevicePorts = new DevicePorts(start.options, start.material, {
  clock,
  events,
  proxies: () => proxies,
  gate: new HandshakeGate({
    clock,
    places: handshakes,
    handshakeTimeoutMs: start.options.handshakeTimeoutMs,
    events,
  }),
  secured: (port, socket, handshake) => {
    handshakeCount++;
    connections.secured(port, socket, handshake);
  },
});
const connections = new FrontConnections({
  outbox,
  authorities: () => authorities,
  upgrade: (socket, target) => ports.upgrade(socket, target),
});
const loop = new DrainLoop(start.bells, start.index + 1, {
  isEmpty: () => receiver.isEmpty,
  drain() {
    outbox.flush();
    receiver.drain(take, drainMaxBytes);
    connections.flush(receiver.bytes);
    receiver.release();
  },
});
loop.start();

let utilization = performance.eventLoopUtilization();
setInterval(() => {
  const now = performance.eventLoopUtilization();
  writeLoad(start.load, {
    connections: connections.open,
    handshakes: handshakeCount,
    busyShare: performance.eventLoopUtilization(now, utilization).utilization,
  });
  utilization = now;
}, loadIntervalMs).unref();

parent.on('message', (command: FrontCommand) => {
  switch (command.type) {
    case 'material':
      authorities = authoritiesOf(command.material);
      ports.replaceMaterial(command.material);
      return;
    case 'proxies':
      proxies = command.proxies;
      return;
    case 'stop-listening':
      ports.stopListening();
      return;
    case 'close':
      void ports.close().finally(() => process.exit(0));
  }
});

parent.postMessage(await listen());

function take(kind: number, id: number, bytes: Buffer, from: number, to: number): void {
  if (kind === toFront.begin) handshakes.begin(id);
  else if (kind === toFront.refuse) handshakes.refuse(id, bytes.toString('latin1', from, to));
  else connections.take(kind, id, from, to);
}

async function listen(): Promise<FrontReport> {
  try {
    return { type: 'listening', addresses: await ports.listen() };
  } catch (error) {
    const code = error instanceof FlotillaError ? error.code : 'start-failed';
    const detail = error instanceof FlotillaError ? error.detail : undefined;
    return { type: 'failed', code, detail: detail ?? messageOf(error) };
  }
}

function failureOf(
  remoteAddress: string,
  code: HandshakeFailure['code'],
  detail: string,
): HandshakeFailure {
  return { remoteAddress, code, detail };
}

function authoritiesOf({ mqtts }: PortMaterial): readonly X509Certificate[] {
  return mqtts.authorities.map((pem) => new X509Certificate(pem));
}
