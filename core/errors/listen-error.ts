/**
 * Errors of opening a listening port.
 *
 * @module
 */
import { FlotillaError, messageOf } from './flotilla-error.ts';

/** The catalogue error for a port that could not be opened: `address-in-use` or `start-failed`. */
export function listenError(host: string, port: number, error: unknown): FlotillaError {
  const inUse = error instanceof Error && 'code' in error && error.code === 'EADDRINUSE';
  return new FlotillaError(inUse ? 'address-in-use' : 'start-failed', {
    detail: `${host}:${port}: ${messageOf(error)}`,
    cause: error,
  });
}
