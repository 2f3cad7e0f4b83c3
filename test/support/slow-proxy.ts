/**
 * A TCP proxy with one slow connection: it holds back what the server sends after the handshake until
 * the test releases it.
 *
 * @module
 */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import type { ExecutionContext } from 'ava';

export interface SlowProxy {
  readonly url: string;
  /** Resolves when the client has sent its request on the slow connection. */
  readonly held: Promise<void>;
  /** Forwards what was held back, and everything after it. */
  release(): void;
}

/**
 * Starts the proxy before a TLS server on this machine; closed at the end of the test.
 *
 * @param slow the number of the slow connection, from 1
 */
export async function slowProxy(t: ExecutionContext, target: string, slow = 2): Promise<SlowProxy> {
  const waiting: (() => void)[] = [];
  const sockets: Socket[] = [];
  let isReleased = false;
  let connections = 0;
  let hold = (): void => undefined;
  const held = new Promise<void>((resolve) => (hold = resolve));
  const server = createServer((client) => {
    const isSlow = ++connections === slow;
    const upstream = connect(Number(new URL(target).port), '127.0.0.1');
    sockets.push(client, upstream);
    let sent = 0;
    client.on('data', (chunk) => {
      upstream.write(chunk);
      // The first chunk is the ClientHello; the next ones finish the handshake and contain the request.
      if (isSlow && ++sent === 2) hold();
    });
    const forward = (send: () => void): void => {
      if (isSlow && !isReleased && sent >= 2) waiting.push(send);
      else send();
    };
    upstream.on('data', (chunk) => forward(() => client.write(chunk)));
    upstream.on('end', () => forward(() => client.end()));
    upstream.on('error', () => client.destroy());
    client.on('end', () => upstream.end());
    client.on('error', () => upstream.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    held,
    release() {
      isReleased = true;
      for (const send of waiting.splice(0)) send();
    },
  };
}
