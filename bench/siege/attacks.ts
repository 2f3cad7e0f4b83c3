/**
 * Attacks against a broker and an enrollment service: malformed packets and floods of devices with a certificate,
 * and floods of clients without a certificate. Each attack runs until it is stopped.
 *
 * @module
 */
import { connect as connectTcp, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { script } from '../fuzz/garbage.ts';
import type { FuzzRandom } from '../fuzz/random.ts';
import { connectFrame, publishFrame, subscribePacket } from '../load/frames.ts';

export interface AttackTarget {
  readonly mqtts: { readonly host: string; readonly port: number };
  readonly enrollUrl: string;
  readonly ca: string;
  /** Certificates of devices by id. */
  readonly identities: ReadonlyMap<string, { readonly cert: string; readonly key: string }>;
  readonly random: FuzzRandom;
  readonly signal: AbortSignal;
  /** Called for each connection, request or packet. */
  readonly count: (attack: string, more: number) => void;
}

export type Attack = (target: AttackTarget) => Promise<void>;

const connectionMaxMs = 5000;
/** A flood sends this much, then the other attacks of this process have their turn. */
const burstBytes = 64 * 1024;
const burstPauseMs = 5;

/** Malformed packets of admitted devices: the generator of the fuzzer, over TLS. */
const malformedPackets: Attack = async (target) => {
  const { random, signal, count } = target;
  while (!signal.aborted) {
    const one = script(random);
    const socket = admitted(target, one.clientId);
    count('malformed packets', one.packets);
    socket.once('secureConnect', () => {
      for (const chunk of one.chunks) socket.write(chunk);
      if (one.cuts) socket.end();
    });
    await ended(socket, 500);
  }
};

/** Retained messages on ever new topics of 32 levels. */
const retainedTopics: Attack = (target) => {
  let number = 0;
  return flood(target, 'retained messages', (id) => {
    const { bytes } = publishFrame(`devices/${id}/${number++}${'/a'.repeat(29)}`, 1, 1);
    bytes[0] = (bytes[0] ?? 0) | 1;
    return bytes;
  });
};

/** Messages as fast as the broker reads them. */
const publishing: Attack = (target) =>
  flood(target, 'publishing', (id) => publishFrame(`devices/${id}/flood`, 0, 100).bytes);

/** Subscriptions that match much, again and again. */
const subscribing: Attack = (target) =>
  flood(target, 'subscribing', (id) => subscribePacket(`devices/${id}/+/a/#`, 1));

/** Requests to renew that are garbage. */
const renewing: Attack = (target) =>
  flood(target, 'renewing', (id) => publishFrame(`$fleet/certs/${id}/renew`, 0, 50).bytes);

/** Clients that complete handshakes without a certificate, and some that never begin one. */
const handshakes: Attack = async ({ mqtts, signal, count }) => {
  while (!signal.aborted) {
    const silent = Array.from({ length: 20 }, () => quiet(connectTcp(mqtts)));
    const socket = quiet(connectTls({ ...mqtts, rejectUnauthorized: false }));
    count('handshakes', 21);
    await ended(socket, connectionMaxMs);
    await pause(50);
    for (const one of silent) one.destroy();
  }
};

/** Wrong tokens, unknown paths and garbage at the enrollment service. */
const enrolling: Attack = async ({ enrollUrl, ca, random, signal, count }) => {
  const { hostname, port } = new URL(enrollUrl);
  while (!signal.aborted) {
    const socket = quiet(connectTls({ host: hostname, port: Number(port), ca }));
    socket.once('secureConnect', () => {
      for (let at = 0; at < 50; at++) socket.write(httpRequest(random));
    });
    count('enrolling', 50);
    await ended(socket, 1000);
  }
};

function httpRequest(random: FuzzRandom): string | Buffer {
  const body = JSON.stringify({ device: `x-${random.below(1e9)}`, csr: 'none' });
  const token = random.bytes(32).toString('base64url');
  return random.pick<() => string | Buffer>([
    () =>
      `POST /v1/enroll HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\n` +
      `content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    () => `GET /${random.below(1e9)}?token=${token} HTTP/1.1\r\nhost: x\r\n\r\n`,
    () => 'GET /crl HTTP/1.1\r\nhost: x\r\n\r\n',
    () => 'GET /v1/devices HTTP/1.1\r\nhost: x\r\n\r\n',
    () => (random.chance(0.05) ? random.bytes(200) : 'GET /v1/ca HTTP/1.1\r\nhost: x\r\n\r\n'),
  ])();
}

/** All attacks by name; each runs at the same time as the others, the first one three times. */
export const attacks: readonly (readonly [string, Attack])[] = [
  ['malformed', malformedPackets],
  ['malformed', malformedPackets],
  ['malformed', malformedPackets],
  ['retained', retainedTopics],
  ['publishing', publishing],
  ['subscribing', subscribing],
  ['renewing', renewing],
  ['handshakes', handshakes],
  ['enrolling', enrolling],
];

/** Sends packets of one device as fast as they are taken, and connects again when it is disconnected. */
async function flood(
  target: AttackTarget,
  name: string,
  packetOf: (id: string) => Buffer,
): Promise<void> {
  const { signal, random, count } = target;
  while (!signal.aborted) {
    const id = random.pick([...target.identities.keys()]);
    const socket = admitted(target, id);
    // Never in the turn of the last write: a broker that reads quickly would leave no turn to the other attacks.
    const sendLater = (): void => void setTimeout(send, burstPauseMs);
    const send = (): void => {
      let sent = 0;
      for (let full = socket.destroyed; !full && sent < burstBytes;) {
        const packet = packetOf(id);
        sent += packet.length;
        count(name, 1);
        full = !socket.write(packet);
      }
      if (sent >= burstBytes) sendLater();
    };
    socket.once('secureConnect', () => {
      socket.write(connectFrame(id));
      send();
    });
    socket.on('drain', sendLater);
    await ended(socket, connectionMaxMs);
    socket.removeAllListeners('drain');
    // A device that connects too often is refused for a minute.
    await pause(500);
  }
}

function admitted({ mqtts, ca, identities }: AttackTarget, id: string): TLSSocket {
  const identity = identities.get(id);
  if (identity === undefined) throw new Error(`no identity ${id}`);
  return quiet(connectTls({ ...mqtts, ca, ...identity }));
}

/** Errors and answers do not matter. */
function quiet<T extends Socket>(socket: T): T {
  socket.on('error', () => undefined);
  socket.resume();
  return socket;
}

/** Resolves when a socket has closed; closes it after this time. */
async function ended(socket: Socket, afterMs: number): Promise<void> {
  const timer = setTimeout(() => socket.destroy(), afterMs);
  await new Promise<void>((done) => socket.once('close', () => done()));
  clearTimeout(timer);
}
