/**
 * Parses the header of the PROXY protocol, versions 1 and 2, by which a load balancer reports the address of
 * the client (https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt).
 *
 * @module
 */
import { isIPv4, isIPv6 } from 'node:net';

export interface ProxySource {
  readonly address: string;
  readonly port: number;
}

export type ProxyHeader =
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'missing' }
  | { readonly kind: 'invalid'; readonly detail: string }
  | {
      readonly kind: 'header';
      readonly bytes: number;
      /** Undefined when the balancer connects for itself (a health check), or the address is unknown. */
      readonly source: ProxySource | undefined;
    };

const signatureV1 = Buffer.from('PROXY ');
const signatureV2 = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
/** The longest line of version 1, with its end. */
const lineMaxBytes = 107;
const fixedBytesV2 = 16;
/** Addresses and extensions of version 2; balancers send a few hundred bytes. */
const contentMaxBytesV2 = 4096;

/** The most bytes that a header can have. */
export const proxyHeaderMaxBytes = fixedBytesV2 + contentMaxBytesV2;

/** Parses the header at the beginning of a connection. Bytes after it are not read. */
export function parseProxyHeader(bytes: Buffer): ProxyHeader {
  if (beginsLike(bytes, signatureV2)) return parseV2(bytes);
  if (beginsLike(bytes, signatureV1)) return parseV1(bytes);
  return { kind: 'missing' };
}

/** Whether the first bytes of a connection can be a header. A TLS handshake begins with 0x16. */
export function looksLikeProxyHeader(bytes: Buffer): boolean {
  return bytes[0] === signatureV1[0] || bytes[0] === signatureV2[0];
}

function beginsLike(bytes: Buffer, signature: Buffer): boolean {
  const length = Math.min(bytes.length, signature.length);
  return length > 0 && bytes.subarray(0, length).equals(signature.subarray(0, length));
}

function parseV1(bytes: Buffer): ProxyHeader {
  const end = bytes.subarray(0, lineMaxBytes).indexOf('\r\n');
  if (end === -1) {
    return bytes.length < lineMaxBytes ? { kind: 'incomplete' } : invalid('the line does not end');
  }
  const [, family, source = '', target = '', sourcePort = '', targetPort = '', ...rest] = bytes
    .toString('latin1', 0, end)
    .split(' ');
  const length = end + 2;
  if (family === 'UNKNOWN') return { kind: 'header', bytes: length, source: undefined };
  const isAddress = family === 'TCP4' ? isIPv4 : family === 'TCP6' ? isIPv6 : undefined;
  if (isAddress === undefined) return invalid('unknown address family');
  if (rest.length > 0 || !isAddress(source) || !isAddress(target)) return invalid('address');
  if (!isPort(sourcePort) || !isPort(targetPort)) return invalid('port');
  return {
    kind: 'header',
    bytes: length,
    source: { address: source, port: Number(sourcePort) },
  };
}

function isPort(text: string): boolean {
  return /^(?:0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 65_535;
}

function parseV2(bytes: Buffer): ProxyHeader {
  if (bytes.length < fixedBytesV2) return { kind: 'incomplete' };
  const [version, command] = [bytes.readUInt8(12) >> 4, bytes.readUInt8(12) & 0x0f];
  const [family, transport] = [bytes.readUInt8(13) >> 4, bytes.readUInt8(13) & 0x0f];
  const length = bytes.readUInt16BE(14);
  if (version !== 2) return invalid(`version ${version}`);
  if (command > 1) return invalid(`command ${command}`);
  if (length > contentMaxBytesV2) return invalid(`${length} bytes`);
  const end = fixedBytesV2 + length;
  if (bytes.length < end) return { kind: 'incomplete' };
  const content = bytes.subarray(fixedBytesV2, end);
  // LOCAL: the balancer itself. UNSPEC and UNIX have no address that can be used.
  if (command === 0 || (family !== 1 && family !== 2)) {
    return { kind: 'header', bytes: end, source: undefined };
  }
  if (transport !== 1) return invalid(`transport ${transport}`);
  const size = family === 1 ? 4 : 16;
  if (content.length < 2 * size + 4) return invalid('too short for its addresses');
  const address = family === 1 ? content.subarray(0, 4).join('.') : ipv6(content.subarray(0, 16));
  return {
    kind: 'header',
    bytes: end,
    source: { address, port: content.readUInt16BE(2 * size) },
  };
}

/** The address as sockets report it: compressed, in small letters. */
function ipv6(bytes: Buffer): string {
  const words = Array.from({ length: 8 }, (_, at) => bytes.readUInt16BE(2 * at).toString(16));
  return new URL(`http://[${words.join(':')}]`).hostname.slice(1, -1);
}

function invalid(detail: string): ProxyHeader {
  return { kind: 'invalid', detail };
}
