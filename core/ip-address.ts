/**
 * IP addresses as sockets report them.
 *
 * @module
 */
import { isIP, isIPv4 } from 'node:net';

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

/**
 * What limits per source are counted by: an IPv4 address, or the /64 of an IPv6 address, which one client can
 * have as a whole.
 */
export function addressPrefix(address: string): string {
  const plain = unmappedAddress(address);
  if (isIP(plain) !== 6) return plain;
  const [left = '', right] = (plain.split('%')[0] ?? '').split('::');
  const head = left === '' ? [] : left.split(':');
  const tail = right === undefined || right === '' ? [] : right.split(':');
  const zeros = right === undefined ? 0 : Math.max(0, 8 - head.length - tail.length);
  const groups = [...head, ...Array.from({ length: zeros }, () => '0'), ...tail];
  return `${groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::/64`;
}
