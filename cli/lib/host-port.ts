/**
 * Addresses on the command line.
 *
 * @module
 */
import { printable } from '../../core/escape.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';

/**
 * Parses `host`, `host:port` or `[v6]:port`.
 *
 * @throws FlotillaError `usage`
 */
export function hostPort(text: string, defaultPort: number): { host: string; port: number } {
  const found = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]/\s]+))(?::(\d{1,5}))?$/.exec(text);
  const host = found?.[1] ?? found?.[2];
  const port = found?.[3] === undefined ? defaultPort : Number(found[3]);
  if (host === undefined || port < 1 || port > 65_535) {
    throw new FlotillaError('usage', { detail: `${printable(text)} is not host:port` });
  }
  return { host, port };
}

/** Converts the address of a listener to one that a client can connect to. */
export function reachable(host: string): string {
  return host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
}
