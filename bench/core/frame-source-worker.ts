/**
 * A front without sockets, in a thread of its own: clients that exist only as frames in the rings. Each client publishes
 * to the next one, one packet per frame, as clients that send little do. So the core thread does everything that it does
 * for real fronts, and its CPU time is the limit of what fronts can bring.
 *
 * @module
 */
import { parentPort, workerData } from 'node:worker_threads';
import { Bell, coreThread } from '../../broker/fronts/doorbell.ts';
import type { SecuredFacts } from '../../broker/fronts/front-facts.ts';
import {
  drainMaxBytes,
  fromFront,
  toFront,
  writtenStepBytes,
} from '../../broker/fronts/front-frames.ts';
import { RingReceiver, RingSender } from '../../broker/fronts/shared-ring.ts';
import { parseDeviceId } from '../../core/device-id.ts';
import {
  connectFrame,
  packetType,
  publishFrame,
  Scanner,
  subscribePacket,
  writeAcknowledgement,
} from '../load/frames.ts';
import type { FrameSourceReport, FrameSourceStart } from './frame-source-messages.ts';

/** The word of this thread in the memory of the bells: its number times 16. */
const bellAt = 16;
const sleepMaxMs = 1;
/** Deliveries that are under way at a time. */
const windowMax = 4000;
const publishesPerRound = 2000;

// A cast at the boundary to the thread that starts this one.
const start = workerData as FrameSourceStart;
const { clients, qos, payloadBytes, warmUpMs, measureMs } = start;
const words = new Int32Array(start.bells);
const sender = new RingSender(start.toCore, new Bell(start.bells, coreThread));
const receiver = new RingReceiver(start.toFront, new Bell(start.bells, coreThread), false);

const scanners = Array.from({ length: clients }, () => new Scanner());
const unwritten = new Int32Array(clients);
/** Whether a client waits for the PUBACK of its message. */
const isInFlight = new Uint8Array(clients);
const frames = Array.from({ length: clients }, (_, id) => {
  const { bytes, idAt } = publishFrame(topicOf((id + 1) % clients), qos, payloadBytes);
  if (qos > 0) bytes.writeUInt16BE(1, idAt);
  return bytes;
});
/** Frames that wait for room in the ring. */
const waiting: { readonly kind: number; readonly id: number; readonly bytes: Buffer }[] = [];
let connected = 0;
let subscribed = 0;
let published = 0;
let delivered = 0;

for (let id = 0; id < clients; id++) {
  waiting.push({ kind: fromFront.secured, id, bytes: factsOf(id) });
}
until(() => connected === clients);
for (let id = 0; id < clients; id++) {
  waiting.push({ kind: fromFront.data, id, bytes: subscribePacket(topicOf(id), qos) });
}
until(() => subscribed === clients);
publishFor(warmUpMs);
report({ type: 'measuring' });
const before = delivered;
publishFor(measureMs);
report({ type: 'done', delivered: delivered - before });

function report(message: FrameSourceReport): void {
  parentPort?.postMessage(message);
}

function topicOf(id: number): string {
  return `d/client-${id}`;
}

function factsOf(id: number): Buffer {
  const facts: SecuredFacts = {
    port: 'mqtts',
    durationMs: 0,
    chainError: null,
    remoteAddress: '127.0.0.1',
    tlsVersion: 'TLSv1.3',
    resumed: false,
    certificate: {
      serial: '01',
      fingerprint: '',
      commonName: { ok: true, id: parseDeviceId(`client-${id}`) },
      subject: '',
      forClients: true,
      issuer: null,
      issuedHere: true,
    },
  };
  return Buffer.from(JSON.stringify(facts));
}

/** Works until something has happened. */
function until(isDone: () => boolean): void {
  while (!isDone()) {
    const isIdle = receive() === 0;
    sendWaiting();
    sender.publish();
    if (isIdle) sleep();
  }
}

function publishFor(ms: number): void {
  const endMs = performance.now() + ms;
  let next = 0;
  while (performance.now() < endMs) {
    const received = receive();
    sendWaiting();
    let sent = 0;
    for (let at = 0; at < publishesPerRound && published - delivered < windowMax; at++) {
      const id = next++ % clients;
      if (isInFlight[id] === 1) continue;
      if (!put(fromFront.data, id, frames[id] ?? Buffer.alloc(0))) break;
      if (qos > 0) isInFlight[id] = 1;
      published++;
      sent++;
    }
    sender.publish();
    if (received === 0 && sent === 0) sleep();
  }
}

/** As the loop of a real front: marks that it sleeps, and looks once more before it does. */
function sleep(): void {
  Atomics.store(words, bellAt, 1);
  if (receiver.isEmpty) Atomics.wait(words, bellAt, 1, sleepMaxMs);
  Atomics.store(words, bellAt, 0);
}

function put(kind: number, id: number, bytes: Buffer): boolean {
  const at = sender.reserve(kind, id, bytes.length);
  if (at < 0) return false;
  bytes.copy(sender.bytes, at);
  return true;
}

function sendWaiting(): void {
  let sent = 0;
  for (const { kind, id, bytes } of waiting) {
    if (!put(kind, id, bytes)) break;
    sent++;
  }
  waiting.splice(0, sent);
}

function receive(): number {
  const count = receiver.drain((kind, id, bytes, from, to) => {
    if (kind === toFront.admit) {
      waiting.push({ kind: fromFront.data, id, bytes: connectFrame(`client-${id}`) });
      return;
    }
    if (kind !== toFront.data && kind !== toFront.dataAwaited) return;
    take(id, bytes.subarray(from, to));
    const unreported = (unwritten[id] ?? 0) + to - from;
    unwritten[id] = unreported;
    if (kind === toFront.data && unreported < writtenStepBytes) return;
    unwritten[id] = 0;
    const written = Buffer.alloc(4);
    written.writeUInt32LE(unreported);
    waiting.push({ kind: fromFront.written, id, bytes: written });
  }, drainMaxBytes);
  receiver.release();
  return count;
}

/** The packets for one client. */
function take(id: number, chunk: Buffer): void {
  scanners[id]?.scan(chunk, (first, data, from) => {
    switch (first >> 4) {
      case packetType.connack:
        connected++;
        return;
      case packetType.suback:
        subscribed++;
        return;
      case packetType.puback:
        isInFlight[id] = 0;
        return;
      case packetType.publish:
        delivered++;
        if (qos > 0) acknowledge(id, data, from);
    }
  });
}

function acknowledge(id: number, data: Buffer, from: number): void {
  const puback = Buffer.alloc(4);
  const packetId = data.readUInt16BE(from + 2 + data.readUInt16BE(from));
  writeAcknowledgement(puback, 0, packetType.puback, packetId);
  waiting.push({ kind: fromFront.data, id, bytes: puback });
}
