/**
 * IP addresses as sockets report them.
 *
 * @module
 */
import { isIPv4 } from 'node:net';

const mappedPrefix = '::ffff:';

/**
 * The IPv4 address inside an IPv4-mapped IPv6 address (RFC 4291, 2.5.5.2), which dual-stack sockets
 * report for IPv4 peers. Any other address is returned unchanged.
 */
export function unmappedAddress(address: string): string {
  if (!address.startsWith(mappedPrefix)) return address;
  const inner = address.slice(mappedPrefix.length);
  return isIPv4(inner) ? inner : address;
}
