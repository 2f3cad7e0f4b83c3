/**
 * How long the withdrawal of a compromised issuer takes to have an effect: from the call of the API until the connections
 * of its devices are closed. Enrollment service and broker are processes of their own, connected by the feed.
 *
 * Each round enrolls and connects devices below the issuer that signs now, and withdraws it; the next issuer signs for the
 * next round. The first line of times is until the first device of a round was closed, the second one over all
 * devices, the third one until the last device of a round.
 *
 * Run: `node bench/withdrawal-bench.ts [--devices 200] [--rounds 20]`. The exit code is 1 if the p99 of all devices is
 * 250 ms or more.
 *
 * @module
 */
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { connect, type TLSSocket } from 'node:tls';
import { withdrawnIssuerSchema } from '../core/protocol/ca-status.ts';
import { issuersSchema } from '../core/protocol/enrollment-api.ts';
import { callJson } from '../core/protocol/https-client.ts';
import { connectFrame } from './load/frames.ts';
import { startFleetServices, type FleetServices } from './siege/fleet-services.ts';

const effectMaxMs = 250;
/** How many devices enroll and connect at the same time. */
const workers = 8;

const { values } = parseArgs({
  options: {
    devices: { type: 'string', default: '200' },
    rounds: { type: 'string', default: '20' },
  },
});
const devices = Number(values.devices);
const rounds = Number(values.rounds);

const settings = `limits:
  enroll:
    requestsPerAddressPerSecond: 100000
    signaturesPerSecond: 100000
`;

const folder = await mkdtemp(join(tmpdir(), 'flotilla-withdrawal-'));
await mkdir(join(folder, 'state'), { mode: 0o700 });
await writeFile(join(folder, 'state', 'flotilla.yaml'), settings, { mode: 0o600 });
const fleet = await startFleetServices(folder, 0);
try {
  process.exitCode = (await measured(fleet)) ? 0 : 1;
} finally {
  await fleet.close();
  await rm(folder, { recursive: true, force: true });
}

async function measured(services: FleetServices): Promise<boolean> {
  const [ca = '', cert = '', key = ''] = await Promise.all(
    ['ca.pem', 'chain.pem', 'key.pem'].map((name) =>
      readFile(join(services.state, 'admin', name), 'utf8'),
    ),
  );
  const admin = { ca, cert, key };
  const { enrollUrl } = services;
  const { issuers } = await callJson(
    { method: 'GET', url: `${enrollUrl}/v1/issuers`, ...admin },
    issuersSchema,
  );
  let issuer = issuers.find((one) => one.current && one.purpose === 'devices')?.fingerprint ?? '';
  const first: number[] = [];
  const all: number[] = [];
  const last: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const sockets = await connectedDevices(services, round);
    const startMs = performance.now();
    const closed = sockets.map(async (socket) => {
      await once(socket, 'close');
      return performance.now() - startMs;
    });
    const withdrawn = await callJson(
      {
        method: 'POST',
        url: `${enrollUrl}/v1/issuers/${encodeURIComponent(issuer)}/withdraw`,
        ...admin,
        body: { compromised: true },
        timeoutMs: 60_000,
      },
      withdrawnIssuerSchema,
    );
    const times = await Promise.all(closed);
    first.push(Math.min(...times));
    all.push(...times);
    last.push(Math.max(...times));
    issuer = withdrawn.replacements[0] ?? '';
  }
  say(`${rounds} rounds with ${devices} devices, from the call to the closed connection`);
  say(`first    ${percentiles(first)}`);
  say(`all      ${percentiles(all)}`);
  say(`last     ${percentiles(last)}`);
  return percentile(all, 0.99) < effectMaxMs;
}

async function connectedDevices(services: FleetServices, round: number): Promise<TLSSocket[]> {
  const sockets: TLSSocket[] = [];
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < devices) {
      const id = `device-${round}-${next++}`;
      sockets.push(await connectedDevice(services, id));
    }
  };
  await Promise.all(Array.from({ length: workers }, work));
  return sockets;
}

/** The broker may receive the new device a moment after the service has answered. */
async function connectedDevice(services: FleetServices, id: string): Promise<TLSSocket> {
  const { mqtts, ca } = services;
  const shown = await services.identity(id);
  for (;;) {
    const socket = connect({ ...mqtts, ca, ...shown, servername: 'localhost' });
    socket.on('error', () => undefined);
    socket.once('secureConnect', () => socket.write(connectFrame(id)));
    const isConnected = await new Promise<boolean>((resolve) => {
      socket.once('data', () => resolve(true));
      socket.once('close', () => resolve(false));
    });
    if (isConnected) return socket;
  }
}

function percentiles(times: readonly number[]): string {
  const [p50, p99, max] = [0.5, 0.99, 1].map((part) => percentile(times, part).toFixed(0));
  return `p50 ${p50} ms, p99 ${p99} ms, max ${max} ms (${times.length})`;
}

function percentile(times: readonly number[], part: number): number {
  const sorted = times.toSorted((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? NaN;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
