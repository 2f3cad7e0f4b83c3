/**
 * Addresses as people write them.
 *
 * @module
 */
import { printable } from '../../core/escape.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';

/**
 * Reads `host`, `host:port`, `[v6]:port`.
 *
 * @throws FlotillaError `usage`
 */
export function hostPort(text: string, portUsual: number): { host: string; port: number } {
  const found = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]/\s]+))(?::(\d{1,5}))?$/.exec(text);
  const host = found?.[1] ?? found?.[2];
  const port = found?.[3] === undefined ? portUsual : Number(found[3]);
  if (host === undefined || port < 1 || port > 65_535) {
    throw new FlotillaError('usage', { detail: `${printable(text)} is not host:port` });
  }
  return { host, port };
}

/** An address to connect to, for one that is listened on. */
export function reachable(host: string): string {
  return host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
}
