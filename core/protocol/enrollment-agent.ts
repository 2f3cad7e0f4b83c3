/**
 * Persistent connections to the enrollment service.
 *
 * @module
 */
import { Agent } from 'node:https';

/**
 * An agent for calls to the enrollment service. It reuses connections but no TLS sessions: after a resumed
 * handshake Node.js has no certificate of the server, so the client could not check whose server it is.
 *
 * @param maxSockets the most connections at a time
 */
export function enrollmentAgent(maxSockets: number): Agent {
  return new Agent({
    keepAlive: true,
    maxSockets,
    maxFreeSockets: maxSockets,
    maxCachedSessions: 0,
  });
}
