/**
 * How long a change takes to affect live connections, with 5,000 connected devices: from the moment the
 * feed (or the policy file) changes to the moment the device notices.
 *
 * - revoke, suspend: until the device's socket is closed
 * - expire: from the end of the certificate until the socket is closed
 * - group: until the last message of a topic that the device may no longer receive
 * - policy: from the saving of the file until the last message, at all watching devices
 *
 * Run: `node bench/live-effect-bench.ts [--devices 5000]`.
 *
 * @module
 */
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { connect, type TLSSocket } from 'node:tls';
import { DirectoryFile } from '../broker/feed/directory-file.ts';
import type { DirectoryEntry } from '../core/protocol/feed.ts';
import { writeFileAtomic } from '../core/atomic-file.ts';
import { stateFolder } from '../core/state-folder.ts';
import { writeBenchState } from './bench-state.ts';
import { startBenchBroker } from './brokers.ts';
import { clientContext, makeCertificates } from './certificates.ts';
import { connectFrame, publishFrame, subscribePacket } from './load/frames.ts';

const { values } = parseArgs({ options: { devices: { type: 'string', default: '5000' } } });
const count = Number(values.devices);
const samples = Math.min(200, Math.floor(count / 8));
const probeMs = 4;
const printLine = (line: string): void => void process.stdout.write(`${line}\n`);

const policy = (extra: string): string => `version: 1
roles:
  device:
    rules:
      - { allow: [publish, subscribe], topics: ['devices/{device}/#', 'groups/{group}/#'${extra}] }
  service:
    rules:
      - { allow: [publish, subscribe], topics: ['#'] }
`;

const names = ['service-0', ...Array.from({ length: count }, (_, index) => `device-${index}`)];
const certificates = await makeCertificates(names);
await writeBenchState(certificates);
const state = stateFolder(join(certificates.folder, 'state'));
writeFileSync(state.policy, policy(''));
const kept = await new DirectoryFile(state.broker.directory).read();
const entries = new Map(kept?.entries);
/** When the certificates of the last devices expire according to the directory, by `performance.now`. */
const ends = new Map<string, number>();
for (const [index, id] of names.slice(-samples).entries()) {
  const inMs = 75_000 + index * 10;
  const entry = entries.get(id)!;
  const [certificate] = entry.certificates;
  entries.set(id, {
    ...entry,
    certificates: [{ ...certificate!, notAfterMs: Date.now() + inMs }],
  });
  ends.set(id, performance.now() + inMs);
}
const ending = new DirectoryFile(state.broker.directory);
await ending.writeSnapshot({ ...kept!, entries });
await ending.close();
const links = new Set<ServerResponse>();
let sequence = 1;

const { server: own, ca } = certificates;
const feed = createServer({ key: own.key, cert: own.cert }, (request, response) => {
  if (request.url?.startsWith('/v1/feed?') !== true) {
    request.resume().on('end', () => response.writeHead(204).end());
    return;
  }
  links.add(response);
  response.on('close', () => links.delete(response));
  response.write(`${JSON.stringify({ type: 'hello', epoch: 'bench', sequence, graceMs: 0 })}\n`);
});
await new Promise<void>((resolve) => feed.listen(0, '127.0.0.1', resolve));
process.env['FLOTILLA_BENCH_ENROLL_URL'] =
  `https://localhost:${(feed.address() as AddressInfo).port}`;
process.env['FLOTILLA_BENCH_STORE'] = 'memory';
const broker = await startBenchBroker('flotilla', certificates);

interface Device {
  readonly id: string;
  readonly socket: TLSSocket;
  closedAtMs: number;
  lastReceivedMs: number;
}

/** Sends a change over the feed; returns the time. */
function change(id: string, part: Partial<DirectoryEntry>): number {
  const entry = { ...entries.get(id)!, ...part };
  entries.set(id, entry);
  sequence++;
  const line = `${JSON.stringify({ type: 'change', sequence, entry })}\n`;
  for (const link of links) link.write(line);
  return performance.now();
}

function connectDevice(id: string): Promise<Device> {
  const socket = connect({
    ...broker.target,
    secureContext: clientContext(ca, certificates.clients.get(id)!),
    servername: 'localhost',
  });
  const device: Device = { id, socket, closedAtMs: 0, lastReceivedMs: 0 };
  socket.on('error', () => undefined);
  return new Promise((resolve, reject) => {
    socket.once('close', () => {
      device.closedAtMs = performance.now();
      reject(new Error(`${id} was closed`));
    });
    socket.once('data', () => {
      socket.on('data', (chunk: Buffer) => {
        if (chunk[0]! >> 4 === 3) device.lastReceivedMs = performance.now();
      });
      resolve(device);
    });
    socket.write(connectFrame(id));
  });
}

function printSpread(what: string, tookMs: readonly number[]): void {
  const sorted = tookMs.toSorted((a, b) => a - b);
  const at = (share: number): string =>
    (sorted[Math.floor((sorted.length - 1) * share)] ?? NaN).toFixed(1);
  printLine(
    `${what.padEnd(8)} p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, max ${at(1)} ms (${sorted.length})`,
  );
}

const service = await connectDevice('service-0');
const devices: Device[] = [];
let next = 0;
await Promise.all(
  Array.from({ length: 32 }, async () => {
    while (next < count) devices.push(await connectDevice(`device-${next++}`));
  }),
);
printLine(`${devices.length} devices are connected`);
while (links.size === 0) await delay(50);
await delay(1000);

for (const [what, part] of [
  ['revoke', { status: 'revoked' }],
  ['suspend', { status: 'suspended' }],
] as const) {
  const tookMs: number[] = [];
  for (const device of devices.splice(0, samples)) {
    const atMs = change(device.id, part);
    while (device.closedAtMs === 0) await delay(1);
    tookMs.push(device.closedAtMs - atMs);
    await delay(5);
  }
  printSpread(what, tookMs);
}

const effects: number[] = [];
for (const device of devices.splice(0, Math.min(100, samples))) {
  change(device.id, { group: 'in' });
  await delay(30);
  device.socket.write(subscribePacket('groups/in/#', 0));
  const { bytes } = publishFrame('groups/in/x', 0, 16);
  const prober = setInterval(() => service.socket.write(bytes), probeMs);
  await delay(60);
  const atMs = change(device.id, { group: 'out' });
  await delay(300);
  clearInterval(prober);
  effects.push(Math.max(0, device.lastReceivedMs - atMs));
}
printSpread('group', effects);

const flips: number[] = [];
const watching = devices.slice(0, 50);
const { bytes } = publishFrame('news/x', 0, 16);
for (let round = 0; round < 10; round++) {
  await writeFileAtomic(state.policy, policy(`, 'news/#'`));
  await delay(700);
  for (const { socket } of watching) socket.write(subscribePacket('news/#', 0));
  const prober = setInterval(() => service.socket.write(bytes), probeMs);
  await delay(200);
  const atMs = performance.now();
  await writeFileAtomic(state.policy, policy(''));
  await delay(1500);
  clearInterval(prober);
  for (const { lastReceivedMs } of watching) flips.push(Math.max(0, lastReceivedMs - atMs));
}
printSpread('policy', flips);

const late: number[] = [];
for (const device of devices.filter(({ id }) => ends.has(id))) {
  while (device.closedAtMs === 0) await delay(20);
  late.push(device.closedAtMs - ends.get(device.id)!);
}
printSpread('expire', late);

for (const { socket } of [service, ...devices]) socket.destroy();
await broker.stop();
feed.closeAllConnections();
feed.close();
await certificates.remove();
process.exit(0);
