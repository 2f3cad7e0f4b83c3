/**
 * A TLS client whose bytes after the ClientHello are held back until the test releases them.
 *
 * @module
 */
import { connect as connectTcp, type Socket } from 'node:net';
import { duplexPair } from 'node:stream';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import type { ExecutionContext } from 'ava';
import { until } from './until.ts';

export interface HeldHandshakeOptions extends Pick<ConnectionOptions, 'ca' | 'key' | 'cert'> {
  readonly port: number;
  /** The address that the client connects from. */
  readonly from?: string;
}

export interface HeldHandshake {
  /** The TCP connection. */
  readonly socket: Socket;
  /** Sends what was held back: the last flight of the handshake. */
  readonly release: () => void;
}

/** Connects, and returns when the server answered the ClientHello and the client could complete the handshake. */
export async function heldHandshake(
  t: ExecutionContext,
  { port, from = '127.0.0.1', ...tls }: HeldHandshakeOptions,
): Promise<HeldHandshake> {
  const [inner, outer] = duplexPair();
  const socket = connectTcp({ port, host: '127.0.0.1', localAddress: from });
  const held: Buffer[] = [];
  let hasHello = false;
  outer.on('data', (bytes: Buffer) => {
    if (hasHello) held.push(bytes);
    else socket.write(bytes);
    hasHello = true;
  });
  socket.on('data', (bytes) => outer.write(bytes)).on('error', () => undefined);
  const secure = connectTls({ socket: inner, servername: 'localhost', ...tls });
  secure.on('error', () => undefined);
  t.teardown(() => {
    secure.destroy();
    socket.destroy();
  });
  await until('the server answered', () => held.length > 0);
  return { socket, release: () => held.forEach((one) => socket.write(one)) };
}
