/**
 * Writes the header of the PROXY protocol, version 2 (https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt).
 *
 * @module
 */
import { isIPv4, isIPv6, type Socket } from 'node:net';
import { unmappedAddress } from '../../core/ip-address.ts';

const signature = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');

/** The header for a connection from a client. A client that is gone already has none: then the header says LOCAL. */
export function proxyHeaderV2(
  client: Pick<Socket, 'remoteAddress' | 'remotePort' | 'localAddress' | 'localPort'>,
): Buffer {
  const source = addressBytes(client.remoteAddress);
  const target = addressBytes(client.localAddress);
  if (source === undefined || source.length !== target?.length) {
    return Buffer.concat([signature, Buffer.from([0x20, 0, 0, 0])]);
  }
  const ports = Buffer.alloc(4);
  ports.writeUInt16BE(client.remotePort ?? 0, 0);
  ports.writeUInt16BE(client.localPort ?? 0, 2);
  const content = Buffer.concat([source, target, ports]);
  // Version 2, command PROXY; TCP over IPv4 or IPv6.
  const fixed = Buffer.from([0x21, source.length === 4 ? 0x11 : 0x21, 0, content.length]);
  return Buffer.concat([signature, fixed, content]);
}

function addressBytes(reported = ''): Buffer | undefined {
  const address = unmappedAddress(reported.split('%')[0] ?? '');
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number));
  if (!isIPv6(address)) return undefined;
  const [left = '', right] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::');
  const words = (text = ''): number[] =>
    text === '' ? [] : text.split(':').map((word) => Number.parseInt(word, 16));
  const [head, tail] = [words(left), words(right)];
  const zeros = Array.from({ length: 8 - head.length - tail.length }, () => 0);
  const bytes = Buffer.alloc(16);
  for (const [at, word] of [...head, ...zeros, ...tail].entries())
    bytes.writeUInt16BE(word, 2 * at);
  return bytes;
}
