/**
 * Sets of IP addresses and networks, as settings write them: `192.0.2.1`, `10.0.0.0/8`, `2001:db8::/32`.
 *
 * @module
 */
import { BlockList, isIP } from 'node:net';

/** Whether a text is an IP address, or a network as address and number of bits. */
export function isIpNetwork(text: string): boolean {
  const [address = '', bits, ...rest] = text.split('/');
  const family = isIP(address);
  if (family === 0 || rest.length > 0) return false;
  return (
    bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128))
  );
}

/** The networks, for {@link isInNetworks}. Each was validated with {@link isIpNetwork}. */
export function ipNetworks(networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [address = '', bits] = network.split('/');
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    if (bits === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(bits), family);
  }
  return list;
}

/** Whether a text is an IP address in one of the networks. */
export function isInNetworks(address: string, networks: BlockList): boolean {
  const family = isIP(address);
  return family !== 0 && networks.check(address, family === 6 ? 'ipv6' : 'ipv4');
}
