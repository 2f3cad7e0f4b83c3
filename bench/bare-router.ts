/**
 * The minimum cost of a broker on `node:tls`, as a process to measure: mutual TLS, and every QoS 0
 * message is sent to every subscriber, with one write per turn of the event loop. It has no topics,
 * policy, limits, sessions or metrics. Its cost is that of Node.js; a complete broker adds its own. Its
 * arguments are the folder of the run and the port.
 *
 * @module
 */
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createServer, type TLSSocket } from 'node:tls';
import { packetType, Scanner } from './load/frames.ts';

const [, , folder = '', port = '0'] = process.argv;
const pem = (name: string): string => readFileSync(join(folder, name), 'utf8');
const subscribers = new Set<TLSSocket>();
let pending: Buffer[] = [];

const server = createServer(
  {
    key: pem('server.key'),
    cert: pem('server.pem'),
    ca: pem('ca.pem'),
    requestCert: true,
    rejectUnauthorized: true,
    noDelay: true,
  },
  (socket) => {
    const scanner = new Scanner();
    socket.on('error', () => socket.destroy());
    socket.on('close', () => subscribers.delete(socket));
    socket.on('data', (chunk: Buffer) =>
      scanner.scan(chunk, (first, data, start, end) => take(socket, first, data, start, end)),
    );
  },
);
server.listen(Number(port), '127.0.0.1', () => {
  const { port: bound } = server.address() as AddressInfo;
  process.stdout.write(
    `${JSON.stringify({ port: bound, version: `on Node ${process.versions.node}` })}\n`,
  );
});
process.on('SIGTERM', () => process.exit(0));
process.stdin.on('end', () => process.exit(0)).resume();

function take(socket: TLSSocket, first: number, data: Buffer, start: number, end: number): void {
  switch (first >> 4) {
    case packetType.publish:
      if (pending.push(frameOf(data, start, end)) === 1) setImmediate(flush);
      return;
    case packetType.connect:
      socket.write(Buffer.from([packetType.connack << 4, 2, 0, 0]));
      return;
    case packetType.subscribe:
      subscribers.add(socket);
      socket.write(
        Buffer.from([packetType.suback << 4, 3, data[start] ?? 0, data[start + 1] ?? 0, 0]),
      );
  }
}

/** The packet with its fixed header, whose size depends on the length of the body. */
function frameOf(data: Buffer, start: number, end: number): Buffer {
  const size = end - start;
  return data.subarray(
    start - (size < 128 ? 2 : size < 16_384 ? 3 : size < 2_097_152 ? 4 : 5),
    end,
  );
}

function flush(): void {
  const [only] = pending;
  const bytes = pending.length === 1 && only !== undefined ? only : Buffer.concat(pending);
  pending = [];
  for (const socket of subscribers) socket.write(bytes);
}
