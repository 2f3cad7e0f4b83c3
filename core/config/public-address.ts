/**
 * The address that others use to reach a service, which is not always the one that it listens on.
 *
 * @module
 */
import { isIP } from 'node:net';
import type { Config } from './config-schema.ts';

/** Whether an address or host name reaches this machine only. */
export function isLoopback(host: string): boolean {
  const bare = host.replace(/^\[|\]$/g, '').toLowerCase();
  return bare === 'localhost' || bare === '::1' || (isIP(bare) === 4 && bare.startsWith('127.'));
}

/**
 * The name or address for others: the first of `names` when the service listens beyond loopback. With
 * no name, the address that it listens on, or the loopback address when that is a wildcard.
 *
 * @param listening the address that the service is bound to
 */
export function publicHost(config: Pick<Config, 'names'>, listening: string): string {
  const [name] = config.names;
  if (name !== undefined && !isLoopback(listening)) return name;
  return listening === '0.0.0.0' ? '127.0.0.1' : listening === '::' ? '::1' : listening;
}

/** The enrollment service's URL for others: `enroll.url`, or one made of {@link publicHost}. */
export function publicEnrollUrl(
  config: Pick<Config, 'names' | 'enroll'>,
  listening: string,
  port: number,
): string {
  return config.enroll.url ?? httpsUrl(publicHost(config, listening), port);
}

/** `https://host:port`, with the brackets that an IPv6 address needs. */
export function httpsUrl(host: string, port: number): string {
  return `https://${host.includes(':') ? `[${host}]` : host}:${port}`;
}
